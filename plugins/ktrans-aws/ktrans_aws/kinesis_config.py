"""Options of the `kinesis` source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ktrans.kit.units import Size
from ktrans_aws.client import AwsConfig
from ktrans_aws.kinesis_position import HORIZON, LATEST
from ktrans_aws.start import start_of


class KinesisSourceConfig(AwsConfig, type="kinesis"):
    """Records of a Kinesis data stream, each read exactly once.

    A record holds lines or JSON, plain or compressed (gzip, zstd), such as the subscriptions of
    CloudWatch Logs. Records that the Kinesis Producer Library has aggregated are taken apart.
    """

    stream: str = Field(
        min_length=1,
        description="Name or ARN of the stream.",
        examples=["flows", "arn:aws:kinesis:eu-central-1:123456789012:stream/flows"],
    )
    start: str = Field(
        HORIZON,
        description="Where the first run begins: `trim_horizon` (all that is kept), `latest`, or a time "
        "(ISO 8601, by default UTC).",
        examples=["latest", "2026-01-31T00:00:00Z"],
    )
    on_lost: Literal["error", "skip"] = Field(
        "error",
        description="When records may have expired before they were read, or the stream was created "
        "again: stop, or go on with what is left and say so in the receipt.",
        examples=["skip"],
    )
    read_ahead: Size = Field(
        64 << 20,
        ge=1 << 20,
        description="Bytes of records that an epoch reads, about. They are kept in memory from the plan "
        "to the task that decodes them.",
        examples=["128 MiB"],
    )
    parallel_reads: int = Field(
        4, ge=1, le=64, description="How many shards are read at a time.", examples=[16]
    )

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        start_of(value, (HORIZON, LATEST))
        return value
