"""The `s3` state store: what pipelines remember, in an S3 bucket.

Source: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes" (If-None-Match
and If-Match of PutObject); its data consistency model is strong for reads and listings.
"""

from __future__ import annotations

from pydantic import Field

from ktrans.kit.state.bucket import BucketState, BucketStateConfig
from ktrans.kit.state.lease import RENEWALS
from ktrans_aws.client import S3Config
from ktrans_aws.s3_store import S3Store

CONNECTIONS = 12


class S3StateConfig(S3Config, BucketStateConfig, type="s3"):
    """Keeps what pipelines remember in an S3 bucket, for runs that share nothing else.

    Needs conditional writes, which S3 has, and only some of the servers that speak its language:
    `ktrans validate --connect` tries them.
    """

    kms_key: str | None = Field(
        None,
        min_length=1,
        description="Key of KMS to encrypt with; by default the bucket's own encryption.",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/1234abcd"],
    )


class S3State(BucketState[S3StateConfig]):
    """Keeps state in an S3 bucket."""

    def make_bucket(self) -> S3Store:
        config = self.config
        extra = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": config.kms_key}
            if config.kms_key
            else {}
        )
        # A connection that has died must not outlive the lease that is renewed over it.
        timeout = min(config.timeout, config.lease_time / RENEWALS)
        return S3Store(config.model_copy(update={"timeout": timeout}), CONNECTIONS, extra)
