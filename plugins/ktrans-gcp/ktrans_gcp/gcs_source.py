"""The `gcs` source: objects of a Cloud Storage bucket."""

from __future__ import annotations

from ktrans.kit.objects.source import ObjectSource, ObjectSourceConfig
from ktrans_gcp.gcs_store import READ_ACCESS, BucketConfig, GcsStore


class GcsSourceConfig(BucketConfig, ObjectSourceConfig, type="gcs"):
    """Reads the objects of a Cloud Storage bucket, each at the generation that was planned.

    The folders of a log sink of Cloud Logging (`<log>/2026/11/05/`) are found automatically, so only
    days within the look-back are listed. Late entries are objects of their own (`..._A0:....json`)
    in the folder of their day.
    """


class GcsSource(ObjectSource[GcsSourceConfig]):
    """Lists a bucket and reads its objects."""

    def namespace(self) -> str:
        return f"gs://{self.config.bucket}"

    def make_store(self) -> GcsStore:
        return GcsStore(self.config, self.context, 2 * self.config.parallel_reads, READ_ACCESS)
