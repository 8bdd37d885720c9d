"""The `gcs` state store: what pipelines remember, in a bucket of Cloud Storage.

Source: Google Cloud Storage documentation, "Request preconditions" (generation 0 stands for no
object), "Consistency", "Quotas and limits" (one write a second to the same object).
"""

from __future__ import annotations

from ktrans.kit.state.bucket import BucketState, BucketStateConfig
from ktrans_gcp.gcs_store import WRITE_ACCESS, BucketConfig, GcsStore

THREADS = 12
RETRY_SECS = 20.0


class GcsStateConfig(BucketConfig, BucketStateConfig, type="gcs"):
    """Keeps what pipelines remember in a Cloud Storage bucket, for runs that share nothing else."""


class GcsState(BucketState[GcsStateConfig]):
    """Keeps state in a Cloud Storage bucket."""

    def make_bucket(self) -> GcsStore:
        return GcsStore(self.config, self.context, THREADS, WRITE_ACCESS, RETRY_SECS)
