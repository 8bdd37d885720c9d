"""The `gcs` sink: objects in a Cloud Storage bucket, exactly once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ktrans.kit.objects.sink import ObjectSink, ObjectSinkConfig
from ktrans.kit.units import Size
from ktrans_gcp.gcs_store import WRITE_ACCESS, BucketConfig, GcsStore
from ktrans_gcp.gcs_target import PART_STEP, GcsTarget
from ktrans_gcp.google_auth import store_options


class GcsSinkConfig(BucketConfig, ObjectSinkConfig, type="gcs"):
    """Writes objects to a Cloud Storage bucket, exactly once.

    Objects are staged below `.ktrans-staging/` in the same bucket and rewritten to their own keys
    at the commit, which copies no data.
    """

    storage_class: Literal["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"] | None = Field(
        None,
        description="Storage class of the objects; by default that of the bucket.",
        examples=["NEARLINE"],
    )
    kms_key: str | None = Field(
        None,
        pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
        description="Key of Cloud KMS to encrypt with; by default that of the bucket.",
        examples=["projects/p/locations/eu/keyRings/flows/cryptoKeys/lake"],
    )
    part_size: Size = Field(
        8 << 20,
        ge=PART_STEP,
        multiple_of=PART_STEP,
        description="Objects larger than this are uploaded in parts of this size, in bytes; a "
        "multiple of 256 KiB. One part of each open object is held in memory.",
        examples=[16_777_216],
    )


class GcsSink(ObjectSink[GcsSinkConfig]):
    """Stages objects and rewrites them to their keys at the commit."""

    def namespace(self) -> str:
        return f"gs://{self.config.bucket}"

    def table_options(self) -> dict[str, str]:
        """Return the credentials of now, for the libraries of tables."""
        return store_options(self.config, self.context)

    def make_target(self) -> GcsTarget:
        config = self.config
        store = GcsStore(config, self.context, config.parallel_uploads, WRITE_ACCESS)
        return GcsTarget(store, config.part_size, config.storage_class, config.kms_key)
