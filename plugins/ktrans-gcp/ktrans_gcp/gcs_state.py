"""The `gcs` state store: what pipelines remember, in a bucket of Cloud Storage.

Source: Google Cloud Storage documentation, "Request preconditions" (generation 0 stands for no
object), "Consistency", "Quotas and limits" (one write a second to the same object).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from ktrans.state.bucket import BucketState, BucketStateConfig, Found
from ktrans_gcp.errors import google_errors
from ktrans_gcp.gcs import CALL_SECS, MISSING, Bucket, BucketConfig, retrying
from ktrans_gcp.gcs_store import GcsStore
from ktrans_gcp.gcs_target import ACCESS

THREADS = 12
RETRY_SECS = 20.0


class GcsStateConfig(BucketConfig, BucketStateConfig):
    """Keeps what pipelines remember in a Cloud Storage bucket, for runs that share nothing else."""

    type: Literal["gcs"] = Field("gcs", description="Which component this is.", examples=["gcs"])


class GcsState(BucketState[GcsStateConfig]):
    """Keeps state in a Cloud Storage bucket."""

    def make_bucket(self) -> GcsStateBucket:
        """Connect to the bucket."""
        config = self.config
        with google_errors(f"bucket {config.bucket}", missing=MISSING, access=ACCESS):
            return GcsStateBucket(Bucket(config, self.context, THREADS))


class GcsStateBucket:
    """A bucket with conditional writes (`ktrans.state.bucket.StateBucket`)."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._store = GcsStore(bucket)

    def read(self, key: str) -> Found | None:
        """Return an object, at the generation that a first look finds."""
        from google.api_core import exceptions as api

        with self._errors():
            try:
                blob = self._bucket.bucket.get_blob(
                    key, retry=retrying(RETRY_SECS), timeout=CALL_SECS
                )
                if blob is None:
                    return None
                data = self._bucket.bucket.blob(key, generation=blob.generation).download_as_bytes(
                    raw_download=True, retry=retrying(RETRY_SECS), timeout=CALL_SECS
                )
            except api.NotFound as error:
                if "bucket" in str(error).lower():
                    raise
                return self.read(key)  # replaced between the two requests
            return Found(data, str(blob.generation))

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that is not there."""
        return self._put(key, data, 0)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write over a generation."""
        return self._put(key, data, int(version))

    def _put(self, key: str, data: bytes, generation: int) -> str | None:
        from google.api_core import exceptions as api

        blob = self._bucket.bucket.blob(key)
        with self._errors():
            try:
                blob.upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=generation,
                    retry=retrying(RETRY_SECS),
                    timeout=CALL_SECS,
                )
            except api.PreconditionFailed:
                return None
            return str(blob.generation)

    def delete(self, key: str) -> None:
        """Remove an object."""
        from google.api_core import exceptions as api

        with self._errors(), contextlib.suppress(api.NotFound):
            self._bucket.bucket.blob(key).delete(retry=retrying(RETRY_SECS), timeout=CALL_SECS)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Return names in order."""
        return (found.key for found in self._store.list(prefix, after))

    def folders(self, prefix: str) -> Iterator[str]:
        """Return the folders below a prefix."""
        return (found for found in self._store.level(prefix) if isinstance(found, str))

    def uri(self, key: str) -> str:
        """Return the name of an object."""
        return self._bucket.uri(key)

    def check(self) -> None:
        """Check whether the bucket may be listed."""
        self._store.check()

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def _errors(self) -> contextlib.AbstractContextManager[Any]:
        return google_errors(self._bucket.what, missing=MISSING, access=ACCESS)
