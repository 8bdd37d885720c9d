"""The objects of a Cloud Storage bucket, to list, read and write under conditions.

Source: Google Cloud Storage documentation, "JSON API: Objects: list", "Objects: get", "Request
preconditions", "Transcoding of gzip-compressed files".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from ktrans.api import (
    AccessError,
    RejectError,
    RetryableError,
    SplitChangedError,
)
from ktrans.kit.errors import HTTP, retry_after, row
from ktrans.kit.objects.store import ObjectInfo, StoredObject
from ktrans_gcp.gcs_bucket import CALL_SECS, READ_ACCESS, RETRY_SECS, STAGED, Bucket, call_options

_FIELDS = "items(name,size,generation,timeCreated),nextPageToken"
_FOLDER_FIELDS = "items(name,size,generation,timeCreated),prefixes,nextPageToken"
_PAGE = 1000
_SHOWN_BYTES = 2000


_READING = HTTP.extended(
    row(
        RejectError,
        "resourceIsEncryptedWithCustomerEncryptionKey",
        code="encrypted",
        hint="the object is encrypted with a key that only its owner has",
    ),
    row(AccessError, 401, 403, hint=READ_ACCESS),
    otherwise=row(RetryableError),
)
"""By the reason of an answer to a request for an object's bytes, or by HTTP status."""


class GcsStore:
    """The objects of a bucket: an `ObjectStore` and a `ConditionalStore` (`ktrans.kit.objects`).

    Args:
        bucket: the bucket.
        retry_secs: for how long requests are repeated.
    """

    def __init__(self, bucket: Bucket, retry_secs: float = RETRY_SECS) -> None:
        self._bucket = bucket
        self._options = call_options(retry_secs)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """List objects page by page, in the order of their keys as UTF-8 bytes."""
        with self._bucket.errors():
            found = self._bucket.client.list_blobs(
                self._bucket.bucket,
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
        """Return the objects and folders directly in a folder."""
        with self._bucket.errors():
            found = self._bucket.client.list_blobs(
                self._bucket.bucket,
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
        """Look at one object; None if it does not exist."""
        with self._bucket.errors():
            blob = self._bucket.bucket.get_blob(key, **self._options)
        return None if blob is None else _info(blob)

    def open(self, key: str, version: str, start: int, end: int) -> GcsBody:
        """Read a range of one generation, as it is stored, without decoding its Content-Encoding."""
        url, parameters = self._bucket.media(key, version)
        with self._bucket.errors():
            response = self._bucket.session.get(
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

        with self._bucket.errors():
            blob = self._bucket.bucket.get_blob(key, **self._options)
            if blob is None:
                return None
            pinned = self._bucket.bucket.blob(key, generation=blob.generation)
            try:
                data = pinned.download_as_bytes(raw_download=True, **self._options)
            except api.NotFound:
                return self.read(key)  # replaced between the two requests
            return StoredObject(data, str(blob.generation))

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that does not exist."""
        return self._put(key, data, 0)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Overwrite one generation of an object."""
        return self._put(key, data, int(version))

    def delete(self, key: str) -> None:
        """Remove an object, if it exists."""
        from google.api_core import exceptions as api

        with self._bucket.errors(), contextlib.suppress(api.NotFound):
            self._bucket.bucket.blob(key).delete(**self._options)

    def _put(self, key: str, data: bytes, generation: int) -> str | None:
        from google.api_core import exceptions as api

        blob = self._bucket.bucket.blob(key)
        with self._bucket.errors():
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

    def uri(self, key: str) -> str:
        """Return the name of an object."""
        return self._bucket.uri(key)

    def check(self) -> None:
        """Check whether the bucket exists and may be listed."""
        with self._bucket.errors(checking=True):
            found = self._bucket.client.list_blobs(
                self._bucket.bucket, max_results=1, **call_options(10)
            )
            next(iter(found), None)

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def _check_range(self, response: Any, key: str, start: int, end: int) -> None:
        """Raise an error for an answer that is not the requested range."""
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
        text = " ".join(response.content[:_SHOWN_BYTES].decode(errors="replace").split())
        asked = retry_after(response.headers)
        said = f"{uri}: {status} {text[:300]}"
        raise _READING.error(said, _reason(response), status, retry_after_secs=asked)


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
        """Release the connection."""
        self._response.close()


def _reason(response: Any) -> str | None:
    """Return the reason that the JSON of an answer gives, if it has one."""
    try:
        reason: str = response.json()["error"]["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError):
        return None
    return reason


def _info(blob: Any) -> ObjectInfo:
    # `timeCreated` is that of the generation; `updated` also moves with its metadata.
    return ObjectInfo(blob.name, blob.size or 0, str(blob.generation), blob.time_created)
