"""Writes objects to a Cloud Storage bucket, invisible before the commit.

Cloud Storage shows an object once its upload is complete, and an upload that is not complete cannot
be found again. So objects are uploaded under another key, below `.ktrans-staging/`, and at the commit
rewritten to their own: within a bucket that copies no data.

Source: Google Cloud Storage documentation, "Objects: rewrite", "Resumable uploads" (chunks are
multiples of 256 KiB), "Request preconditions", "Storage classes" (minimum storage duration).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from ktrans.api import RetryableError, StageLostError
from ktrans.kit.objects.store import MARK, Leftover, NewObject, object_exists
from ktrans_gcp.gcs_store import STAGED, GcsStore, call_options

PART_STEP = 256 << 10
_FIELDS = "items(name,generation),nextPageToken"
_ATTEMPTS = 5
_STAGED_CLASS = "STANDARD"
"""Other classes charge a month or more for objects that are deleted earlier."""


class GcsTarget:
    """An `ObjectTarget` over one bucket."""

    def __init__(
        self, store: GcsStore, part_bytes: int, storage_class: str | None, kms_key: str | None
    ) -> None:
        self.part_bytes = part_bytes
        self.store = store
        self._storage_class = storage_class
        self._kms_key = kms_key

    def begin(self, new: NewObject) -> GcsUpload:
        return GcsUpload(self, new)

    def publish(self, new: NewObject, token: Any) -> None:
        """Rewrite a staged object to its own key, and remove the staged one."""
        with self.store.errors():
            expected = 0
            for _ in range(_ATTEMPTS):
                if self._rewrite(new, token, expected):
                    self.discard(new.key, token)
                    return
                there = self.store.bucket.get_blob(new.key, **call_options())
                mark = None if there is None else (there.metadata or {}).get(MARK)
                if mark == new.mark:
                    self.discard(new.key, token)
                    return
                if there is not None and new.if_absent and not new.ours(mark):
                    raise object_exists(self.uri(new.key))
                expected = 0 if there is None else there.generation
        raise RetryableError(f"{self.uri(new.key)} is replaced by another writer again and again")

    def discard(self, key: str, token: Any) -> None:
        from google.api_core import exceptions as api

        del key
        with self.store.errors(), contextlib.suppress(api.NotFound, api.PreconditionFailed):
            self.store.bucket.blob(token["staged"]).delete(
                if_generation_match=token["generation"], **call_options()
            )

    def keys(self, prefix: str) -> Iterator[str]:
        return (info.key for info in self.store.list(prefix))

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        with self.store.errors():
            found = self.store.client.list_blobs(
                self.store.bucket,
                prefix=STAGED + prefix,
                fields=_FIELDS,
                **call_options(),
            )
            for blob in found:
                key = blob.name.removeprefix(STAGED).rpartition("~")[0]
                yield Leftover(key, {"staged": blob.name, "generation": blob.generation})

    def uri(self, key: str) -> str:
        return self.store.uri(key)

    def check(self) -> None:
        """Write an object below the staging prefix and remove it."""
        with self.store.errors(checking=True):
            blob = self.staged_blob("check")
            blob.upload_from_string(b"", **call_options(10))
            blob.delete(**call_options(10))

    def close(self) -> None:
        self.store.close()

    def staged_blob(self, key: str) -> Any:
        """Return a new staged object for a key."""
        name = f"{STAGED}{key}~{secrets.token_hex(8)}"
        blob = self.store.bucket.blob(name, chunk_size=self.part_bytes, kms_key_name=self._kms_key)
        blob.storage_class = _STAGED_CLASS
        return blob

    def _rewrite(self, new: NewObject, token: Any, expected: int) -> bool:
        """Copy a staged object to its key if that has this generation (0: if it does not exist).

        Raises:
            StageLostError: it is neither staged nor published.
        """
        from google.api_core import exceptions as api

        bucket = self.store.bucket
        source = bucket.blob(token["staged"], generation=token["generation"])
        final = bucket.blob(new.key, kms_key_name=self._kms_key)
        # Once any of these is set, what is not set is not copied.
        final.content_type = token["type"]
        final.metadata = {MARK: new.mark}
        if self._storage_class:
            final.storage_class = self._storage_class
        progress = None
        try:
            while True:
                progress, _, _ = final.rewrite(
                    source,
                    token=progress,
                    if_generation_match=expected,
                    **call_options(),
                )
                if progress is None:
                    return True
        except api.PreconditionFailed:
            return False
        except api.NotFound:
            there = bucket.get_blob(new.key, **call_options())
            if there is not None and (there.metadata or {}).get(MARK) == new.mark:
                return True
            raise StageLostError(
                f"{self.uri(token['staged'])}, which was to become {self.uri(new.key)}, is gone",
                hint="a lifecycle rule or another program removes objects below .ktrans-staging/; the "
                "epoch is processed again",
            ) from None


class GcsUpload:
    """An object below the staging prefix. One part goes in one request; more in a session."""

    def __init__(self, target: GcsTarget, new: NewObject) -> None:
        self._target = target
        self._new = new
        self._first: bytes | None = None
        self._writer: Any = None
        self._blob: Any = None

    def write(self, part: bytes, /) -> None:
        """Send the part before this one, or this one if a session is open."""
        if self._first is None and self._writer is None:
            self._first = part
            return
        with self._target.store.errors():
            if self._writer is None:
                self._writer = self._begin().open(
                    "wb",
                    chunk_size=self._target.part_bytes,
                    ignore_flush=True,
                    **call_options(),
                )
                self._writer.write(self._first)
                self._first = None
            self._writer.write(part)

    def stage(self) -> Any:
        with self._target.store.errors():
            if self._writer is not None:
                self._writer.close()
                self._writer = None
                self._blob.reload(**call_options())
            else:
                self._begin().upload_from_string(
                    self._first or b"",
                    content_type=self._new.content_type,
                    checksum="crc32c",
                    **call_options(),
                )
        self._first = None
        return {
            "staged": self._blob.name,
            "generation": self._blob.generation,
            "type": self._new.content_type,
        }

    def abort(self) -> None:
        """End the session, and remove what was staged."""
        self._first = None
        with contextlib.suppress(Exception):
            if self._writer is not None:
                self._writer.terminate()
                self._writer = None
        with contextlib.suppress(Exception):
            if self._blob is not None:
                self._blob.delete(**call_options())

    def _begin(self) -> Any:
        self._blob = self._target.staged_blob(self._new.key)
        self._blob.content_type = self._new.content_type
        return self._blob
