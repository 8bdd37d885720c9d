"""The `s3` sink: objects in a bucket, partitioned, each epoch once."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ktrans.kit.objects.sink import ObjectSink, ObjectSinkConfig
from ktrans.kit.units import Size
from ktrans_aws.client import S3Config, store_options
from ktrans_aws.s3_store import S3Store
from ktrans_aws.s3_target import S3Target

_MAX_PARTS = 10_000


class S3SinkConfig(S3Config, ObjectSinkConfig, type="s3"):
    """Objects in an S3 bucket, or in a store that speaks its language."""

    part_size: Size = Field(
        8 << 20,
        ge=5 << 20,
        le=5 << 30,
        description="Size of the parts that an object is sent in; an object has 10,000 at most.",
        examples=[16 << 20],
    )
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None,
        description="Encryption at rest; by default what the bucket is set to.",
        examples=["aws:kms"],
    )
    sse_kms_key_id: str | None = Field(
        None,
        description="KMS key to encrypt with, by id or ARN.",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/1b2c3d4e-0000-4000-8000-000000000000"],
    )
    storage_class: str | None = Field(
        None, description="Storage class of the objects.", examples=["STANDARD_IA"]
    )
    acl: str | None = Field(
        None,
        description="Canned ACL, for buckets that still have ACLs.",
        examples=["bucket-owner-full-control"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.sse_kms_key_id and not (self.sse or "").startswith("aws:kms"):
            raise ValueError("sse_kms_key_id needs `sse: aws:kms`")
        if self.target_file_size > self.part_size * _MAX_PARTS // 2:
            raise ValueError("target_file_size is too large for 10,000 parts of part_size")
        if self.anonymous:
            raise ValueError("a bucket cannot be written anonymously")
        return self


class S3Sink(ObjectSink[S3SinkConfig]):
    """Writes to an S3 bucket."""

    def namespace(self) -> str:
        return f"s3://{self.config.bucket}"

    def table_options(self) -> dict[str, str]:
        """Return endpoint, region and the credentials of now."""
        return store_options(self.config)

    def make_target(self) -> S3Target:
        config = self.config
        extra = {
            "ServerSideEncryption": config.sse,
            "SSEKMSKeyId": config.sse_kms_key_id,
            "StorageClass": config.storage_class,
            "ACL": config.acl,
        }
        given = {name: value for name, value in extra.items() if value is not None}
        store = S3Store(config, connections=2 * config.parallel_uploads)
        return S3Target(store, config.part_size, given)
