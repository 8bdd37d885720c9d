"""The objects of a Cloud Storage bucket, to list, read and write under conditions.

Source: Google Cloud Storage documentation, "JSON API: Objects: list", "Objects: get", "Request
preconditions", "Transcoding of gzip-compressed files".
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import Field

from ktrans.api import Context, RetryableError, SplitChangedError
from ktrans.kit.files.path_template import STAGING
from ktrans.kit.objects.store import ObjectInfo, StoredObject
from ktrans_gcp.errors import google_errors
from ktrans_gcp.google_auth import GoogleConfig, credentials

CALL_SECS = (10.0, 60.0)
"""How long to wait for a connection, and then for the next bytes of an answer."""
RETRY_SECS = 60.0
STAGED = f"{STAGING}/"
"""The beginning of the keys of unpublished objects."""
READ_ACCESS = "grant roles/storage.objectViewer on the bucket to these credentials"
WRITE_ACCESS = "grant roles/storage.objectUser on the bucket to these credentials"
_FIELDS = "items(name,size,generation,timeCreated),nextPageToken"
_FOLDER_FIELDS = "items(name,size,generation,timeCreated),prefixes,nextPageToken"
_PAGE = 1000


class BucketConfig(GoogleConfig):
    """Options of everything that uses one bucket."""

    bucket: str = Field(
        min_length=3, pattern=r"^[^/]+$", description="The bucket's name.", examples=["flow-logs"]
    )
    user_project: str | None = Field(
        None,
        min_length=1,
        description="The project to bill for requests to a bucket whose requester pays.",
        examples=["my-project"],
    )


class GcsStore:
    """The objects of a bucket: an `ObjectStore` and a `ConditionalStore` (`ktrans.kit.objects`).

    Args:
        access: the right that is needed, for messages.

    Raises:
        AccessError, ConfigError: there are no usable credentials.
    """

    def __init__(
        self,
        config: BucketConfig,
        context: Context,
        threads: int,
        access: str,
        retry_secs: float = RETRY_SECS,
    ) -> None:
        self._name = config.bucket
        self._user_project = config.user_project
        self._access = access
        self._options = call_options(retry_secs)
        with self.errors():
            self._connect(config, context, threads)

    def _connect(self, config: BucketConfig, context: Context, threads: int) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        endpoint = config.endpoint or os.environ.get("STORAGE_EMULATOR_HOST")
        plain = (endpoint or "").startswith("http://")
        who = AnonymousCredentials() if plain else credentials(config, context)
        options = {"api_endpoint": endpoint.rstrip("/")} if endpoint else {}
        self._session = _session(who, threads)
        self.client = storage.Client(
            project=None, credentials=who, client_options=options, _http=self._session
        )
        # For traces the client would look up the bucket in the background, which needs a right that
        # reading and writing objects do not.
        self.client._bucket_metadata_cache = None  # noqa: SLF001
        self.bucket = self.client.bucket(config.bucket, user_project=config.user_project)

    def errors(self, *, checking: bool = False) -> AbstractContextManager[None]:
        return google_errors(
            f"bucket {self._name}",
            missing="create the bucket, or correct `bucket`",
            access=self._access,
            checking=checking,
        )

    def uri(self, key: str) -> str:
        return f"gs://{self._name}/{key}"

    def _media(self, key: str, generation: str) -> tuple[str, dict[str, str]]:
        """Return the address of an object's bytes, and the parameters."""
        base = self.client.api_endpoint.rstrip("/")
        url = f"{base}/download/storage/v1/b/{quote(self._name, '')}/o/{quote(key, '')}"
        parameters = {"alt": "media", "generation": generation}
        if self._user_project:
            parameters["userProject"] = self._user_project
        return url, parameters

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """List objects page by page, in the order of their keys as UTF-8 bytes."""
        with self.errors():
            found = self.client.list_blobs(
                self.bucket,
                prefix=prefix or None,
                start_offset=after or None,
                page_size=_PAGE,
                fields=_FIELDS,
                **self._options,
            )
            for blob in found:
                if blob.name != after and not blob.name.startswith(STAGED):
                    yield _info(blob)

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        with self.errors():
            found = self.client.list_blobs(
                self.bucket,
                prefix=prefix or None,
                delimiter="/",
                page_size=_PAGE,
                fields=_FOLDER_FIELDS,
                **self._options,
            )
            for page in found.pages:
                for blob in page:
                    yield _info(blob)
                yield from sorted(folder for folder in page.prefixes if folder != STAGED)

    def stat(self, key: str) -> ObjectInfo | None:
        with self.errors():
            blob = self.bucket.get_blob(key, **self._options)
        return None if blob is None else _info(blob)

    def open(self, key: str, version: str, start: int, end: int) -> GcsBody:
        """Read a range of one generation, as it is stored, without decoding its Content-Encoding.

        The client's own download returns nothing before all of the range has come.
        """
        url, parameters = self._media(key, version)
        with self.errors():
            response = self._session.get(
                url,
                params=parameters,
                headers={"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "gzip"},
                stream=True,
                timeout=CALL_SECS,
            )
            try:
                self._check_range(response, key, start, end)
            except BaseException:
                response.close()
                raise
        return GcsBody(response, self.uri(key))

    def read(self, key: str) -> StoredObject | None:
        """Return an object, at the generation that a first look finds."""
        from google.api_core import exceptions as api

        with self.errors():
            blob = self.bucket.get_blob(key, **self._options)
            if blob is None:
                return None
            pinned = self.bucket.blob(key, generation=blob.generation)
            try:
                data = pinned.download_as_bytes(raw_download=True, **self._options)
            except api.NotFound:
                return self.read(key)  # replaced between the two requests
            return StoredObject(data, str(blob.generation))

    def create(self, key: str, data: bytes) -> str | None:
        return self._put(key, data, 0)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        return self._put(key, data, int(version))

    def delete(self, key: str) -> None:
        from google.api_core import exceptions as api

        with self.errors(), contextlib.suppress(api.NotFound):
            self.bucket.blob(key).delete(**self._options)

    def _put(self, key: str, data: bytes, generation: int) -> str | None:
        from google.api_core import exceptions as api

        blob = self.bucket.blob(key)
        with self.errors():
            try:
                blob.upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=generation,
                    **self._options,
                )
            except api.PreconditionFailed:
                return None
            return str(blob.generation)

    def check(self) -> None:
        with self.errors(checking=True):
            found = self.client.list_blobs(self.bucket, max_results=1, **call_options(10))
            next(iter(found), None)

    def close(self) -> None:
        self._session.close()

    def _check_range(self, response: Any, key: str, start: int, end: int) -> None:
        """Raise an error for an answer that is not the requested range."""
        from google.api_core import exceptions

        uri = self.uri(key)
        status = response.status_code
        if status == HTTPStatus.PARTIAL_CONTENT:
            given = response.headers.get("Content-Range", "")
            if not given.startswith(f"bytes {start}-{end - 1}/"):
                raise RetryableError(f"{uri}: asked for bytes {start} to {end - 1}, got {given}")
            return
        if status == HTTPStatus.OK:
            length = response.headers.get("Content-Length")
            if start == 0 and length == str(end):
                return
            raise RetryableError(f"{uri}: asked for a range, got all of {length} bytes")
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            if self.stat(key) is None:
                raise SplitChangedError(f"{uri} is gone", code="split_vanished")
            raise SplitChangedError(f"{uri} was replaced after it was planned")
        raise exceptions.from_http_response(response)


class GcsBody:
    """The bytes of a range."""

    def __init__(self, response: Any, uri: str) -> None:
        self._response = response
        self._uri = uri

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes.

        Raises:
            RetryableError: the connection broke.
        """
        from urllib3.exceptions import HTTPError

        try:
            data: bytes = self._response.raw.read(size, decode_content=False)
        except (HTTPError, OSError) as error:
            raise RetryableError(
                f"{self._uri}: the connection broke ({type(error).__name__})", code="broken_read"
            ) from error
        return data

    def close(self) -> None:
        self._response.close()


def _info(blob: Any) -> ObjectInfo:
    # `timeCreated` is that of the generation; `updated` also moves with its metadata.
    return ObjectInfo(blob.name, blob.size or 0, str(blob.generation), blob.time_created)


def call_options(retry_secs: float = RETRY_SECS) -> dict[str, Any]:
    """Return the options of a request that may be made twice: how long to wait and to repeat it."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(retry_secs)
    retry = retry.with_delay(initial=0.2, maximum=8.0, multiplier=2.0)
    return {"retry": retry, "timeout": CALL_SECS}


def _session(who: Any, threads: int) -> Any:
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter

    session = AuthorizedSession(who)
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=threads + 2)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
