"""Options of the `cloudwatch_logs` source."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ktrans.kit.units import Duration, Size
from ktrans_aws.client import AwsConfig
from ktrans_aws.start import start_of

EARLIEST = "earliest"
LATEST = "latest"


class CloudwatchLogsSourceConfig(AwsConfig, type="cloudwatch_logs"):
    """Events of log groups of CloudWatch Logs, each read exactly once if it comes within the look-back.

    Events have no header: say the fields of flow logs by the decoder's `format`, unless they are AWS's
    default ones.
    """

    example: ClassVar[dict[str, Any]] = {"group_prefixes": ["/vpc/"]}

    groups: list[str] = Field(
        default=[],
        description="Names of log groups.",
        examples=[["/vpc/flow-logs"]],
    )
    group_prefixes: list[str] = Field(
        default=[],
        description="All groups whose names begin with one of these are read, also those that are created "
        "later.",
        examples=[["/vpc/"]],
    )
    stream_prefix: str | None = Field(
        None,
        min_length=1,
        description="Only log streams whose names begin with this are read.",
        examples=["eni-"],
    )
    filter_pattern: str | None = Field(
        None,
        min_length=1,
        description="Only events that match this pattern of CloudWatch Logs are read.",
        examples=["REJECT"],
    )
    start: str = Field(
        EARLIEST,
        description="Where the first run begins: `earliest` (all that is kept), `latest`, or a time (ISO "
        "8601, by default UTC).",
        examples=["latest", "2026-01-31T00:00:00Z"],
    )
    lookback: Duration = Field(
        900,
        ge=60,
        description="How late events may come: each look at a group begins so long before the end of the "
        "last one. The ids of what was read since then are remembered. Later events are not seen.",
        examples=["1h"],
    )
    interval: Duration = Field(
        60,
        gt=0,
        description="How long to wait between two looks with --follow. Each look reads the look-back "
        "again, and CloudWatch Logs counts that.",
        examples=["5m"],
    )
    requests_per_second: float = Field(
        5,
        gt=0,
        description="Requests for events a second, at most; the service's quota is 5 to 10 for an account "
        "and region.",
        examples=[2],
    )
    read_ahead: Size = Field(
        16 << 20,
        ge=1 << 16,
        description="Bytes of events that an epoch reads, about. They are kept in memory from the plan to "
        "the task that decodes them.",
        examples=["32 MiB"],
    )
    on_lost: Literal["error", "skip"] = Field(
        "error",
        description="When a group's retention has removed events before they were read, or a group was "
        "created again: stop, or go on with what is left and say so in the receipt.",
        examples=["skip"],
    )

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        start_of(value, (EARLIEST, LATEST))
        return value

    @model_validator(mode="after")
    def _names_groups(self) -> Self:
        if not self.groups and not self.group_prefixes:
            raise ValueError("name log groups in groups or group_prefixes")
        return self
