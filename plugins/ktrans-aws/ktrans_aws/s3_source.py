"""The `s3` source: the objects of a bucket, found by listing."""

from __future__ import annotations

from ktrans.kit.objects.source import ObjectSource, ObjectSourceConfig
from ktrans_aws.client import S3Config
from ktrans_aws.s3_store import S3Store


class S3SourceConfig(S3Config, ObjectSourceConfig, type="s3"):
    """Objects of an S3 bucket, or of a store that speaks its language.

    Read once each, oldest day first; new ones are found by listing the days that matter.
    """


class S3Source(ObjectSource[S3SourceConfig]):
    """Lists and reads an S3 bucket."""

    def namespace(self) -> str:
        return f"s3://{self.config.bucket}"

    def make_store(self) -> S3Store:
        return S3Store(self.config, connections=2 * self.config.parallel_reads)
