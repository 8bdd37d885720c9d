"""The `s3` state store: what pipelines remember, in an S3 bucket.

Source: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes" (If-None-Match
and If-Match of PutObject); its data consistency model is strong for reads and listings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from ktrans.state.bucket import BucketState, BucketStateConfig, Found
from ktrans.state.lease import BEATS
from ktrans_aws.client import S3Config, make_client
from ktrans_aws.errors import aws_errors, code_of
from ktrans_aws.store import S3Store

CONNECTIONS = 12
_TAKEN = {"PreconditionFailed", "412"}
_GONE = {"NoSuchKey", "404"}


class S3StateConfig(S3Config, BucketStateConfig):
    """Keeps what pipelines remember in an S3 bucket, for runs that share nothing else.

    Needs conditional writes, which S3 has, and only some of the servers that speak its language:
    `ktrans validate --connect` tries them.
    """

    type: Literal["s3"] = Field("s3", description="Which component this is.", examples=["s3"])
    kms_key: str | None = Field(
        None,
        min_length=1,
        description="Key of KMS to encrypt with; by default the bucket's own encryption.",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/1234abcd"],
    )


class S3State(BucketState[S3StateConfig]):
    """Keeps state in an S3 bucket."""

    def make_bucket(self) -> S3StateBucket:
        """Connect to the bucket."""
        return S3StateBucket(self.config)


class S3StateBucket:
    """A bucket with conditional writes (`ktrans.state.bucket.StateBucket`)."""

    def __init__(self, config: S3StateConfig) -> None:
        self._place = {"Bucket": config.bucket, **config.payer}
        self._extra = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": config.kms_key}
            if config.kms_key
            else {}
        )
        # A connection that has died must not outlive the lease that is renewed over it.
        patience = min(config.timeout, config.lease_time / BEATS)
        config = config.model_copy(update={"timeout": patience})
        self._client = make_client(config, "s3", connections=CONNECTIONS)
        self._store = S3Store(config, CONNECTIONS)

    def read(self, key: str) -> Found | None:
        """Give an object."""
        with aws_errors(f"read {self.uri(key)}"):
            try:
                answer = self._client.get_object(**self._place, Key=key)
            except Exception as error:
                if code_of(error) in _GONE:
                    return None
                raise
            return Found(answer["Body"].read(), answer["ETag"])

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that is not there."""
        return self._put(key, data, {"IfNoneMatch": "*"})

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write over a version."""
        return self._put(key, data, {"IfMatch": version})

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> str | None:
        with aws_errors(f"write {self.uri(key)}"):
            try:
                answer = self._client.put_object(
                    **self._place, **self._extra, **condition, Key=key, Body=data
                )
            except Exception as error:
                if code_of(error) in _TAKEN | _GONE:
                    return None
                raise
            return str(answer["ETag"])

    def delete(self, key: str) -> None:
        """Remove an object."""
        with aws_errors(f"remove {self.uri(key)}"):
            self._client.delete_object(**self._place, Key=key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give names in order."""
        return (found.key for found in self._store.list(prefix, after))

    def folders(self, prefix: str) -> Iterator[str]:
        """Give the folders below a prefix."""
        return (found for found in self._store.level(prefix) if isinstance(found, str))

    def uri(self, key: str) -> str:
        """Name an object."""
        return self._store.uri(key)

    def check(self) -> None:
        """Find out whether the bucket may be listed."""
        self._store.check()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._store.close()
