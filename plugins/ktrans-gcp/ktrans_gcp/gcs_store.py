"""Listing and reading the objects of a bucket, each at the generation that was planned.

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
    KtransError,
    RejectError,
    RetryableError,
    SplitChangedError,
    UnavailableError,
)
from ktrans.kit.objects.store import ObjectInfo
from ktrans_gcp.errors import google_errors, seconds_of
from ktrans_gcp.gcs import CALL_SECS, MISSING, STAGED, Bucket, retrying

ACCESS = "grant roles/storage.objectViewer on the bucket to these credentials"
_FIELDS = "items(name,size,generation,timeCreated),nextPageToken"
_FOLDER_FIELDS = "items(name,size,generation,timeCreated),prefixes,nextPageToken"
_PAGE = 1000
_SHOWN_BYTES = 2000


class GcsStore:
    """An `ObjectStore` over one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """List page by page, in the order of UTF-8 bytes, which is Cloud Storage's own."""
        with self._errors():
            found = self._bucket.client.list_blobs(
                self._bucket.bucket,
                prefix=prefix or None,
                start_offset=after or None,
                page_size=_PAGE,
                fields=_FIELDS,
                retry=retrying(),
                timeout=CALL_SECS,
            )
            for blob in found:
                if blob.name != after and not blob.name.startswith(STAGED):
                    yield _info(blob)

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        """Return objects and folders right below a folder."""
        with self._errors():
            found = self._bucket.client.list_blobs(
                self._bucket.bucket,
                prefix=prefix or None,
                delimiter="/",
                page_size=_PAGE,
                fields=_FOLDER_FIELDS,
                retry=retrying(),
                timeout=CALL_SECS,
            )
            for page in found.pages:
                for blob in page:
                    yield _info(blob)
                yield from sorted(folder for folder in page.prefixes if folder != STAGED)

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object; None if it does not exist."""
        with self._errors():
            blob = self._bucket.bucket.get_blob(key, retry=retrying(), timeout=CALL_SECS)
        return None if blob is None else _info(blob)

    def open(self, key: str, version: str, start: int, end: int) -> GcsBody:
        """Read a range of one generation, as it is stored: Content-Encoding is not undone."""
        url, parameters = self._bucket.media(key, version)
        try:
            with self._errors():
                response = self._bucket.session.get(
                    url,
                    params=parameters,
                    headers={"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "gzip"},
                    stream=True,
                    timeout=CALL_SECS,
                )
        except UnavailableError as error:  # it was there when the object was listed
            raise RetryableError(error.message, hint=error.hint) from error
        try:
            self._judge(response, key, start, end)
        except BaseException:
            response.close()
            raise
        return GcsBody(response, self.uri(key))

    def uri(self, key: str) -> str:
        """Return the name of an object."""
        return self._bucket.uri(key)

    def check(self) -> None:
        """Check whether the bucket is there and may be listed."""
        with self._errors():
            found = self._bucket.client.list_blobs(
                self._bucket.bucket, max_results=1, retry=retrying(10), timeout=CALL_SECS
            )
            next(iter(found), None)

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return google_errors(self._bucket.what, missing=MISSING, access=ACCESS)

    def _judge(self, response: Any, key: str, start: int, end: int) -> None:
        """Make an error of an answer that is not the range that was asked for."""
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
        text = response.content[:_SHOWN_BYTES].decode(errors="replace")
        raise self._refusal(key, status, " ".join(text.split())[:300], response.headers)

    def _refusal(self, key: str, status: int, said: str, headers: Any) -> KtransError:
        uri = self.uri(key)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            if self.stat(key) is None:
                return SplitChangedError(f"{uri} is gone", code="split_vanished")
            return SplitChangedError(f"{uri} was replaced after it was planned")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return AccessError(f"{uri}: {status} {said}", hint=ACCESS)
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT) or status >= 500:  # noqa: PLR2004
            asked = seconds_of(headers.get("Retry-After"))
            return RetryableError(f"{uri}: {status} {said}", retry_after_secs=asked)
        if "EncryptedWithCustomer" in said:
            return RejectError(
                f"{uri} is encrypted with a key that only its owner has", code="encrypted"
            )
        return RetryableError(f"{uri}: {status} {said}")


class GcsBody:
    """The bytes of a range, as they come in."""

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


def _info(blob: Any) -> ObjectInfo:
    # `timeCreated` is that of the generation; `updated` also moves with its metadata.
    return ObjectInfo(blob.name, blob.size or 0, str(blob.generation), blob.time_created)
