"""Options of the `kafka` source."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ktrans_kafka.client import KafkaConfig

_GROUP = "the source manages groups itself; see `group`"
_SESSION_MS = 45_000
"""The default of librdkafka."""

_ITS_OWN = "the source sets it, since its guarantees depend on it"


class KafkaSourceConfig(KafkaConfig, type="kafka"):
    """Topics of an Apache Kafka cluster, each record read exactly once.

    Without `group`, this pipeline reads all partitions and keeps its position in its state store.
    With it, several processes share the topics: each has its own state store, and all have the same
    group.
    """

    owned: ClassVar[dict[str, str]] = {
        "group.id": _GROUP,
        "group.protocol": _GROUP,
        "group.instance.id": _GROUP,
        "partition.assignment.strategy": _GROUP,
        "isolation.level": "records of open and aborted transactions are not read",
        "auto.offset.reset": "see `start` and `on_lost`",
        "enable.auto.commit": _ITS_OWN,
        "enable.auto.offset.store": _ITS_OWN,
        "enable.partition.eof": _ITS_OWN,
        "transactional.id": _ITS_OWN,
    }

    topics: list[str] = Field(
        min_length=1,
        description="Topic names; an entry that begins with ^ is a regular expression that also matches "
        "topics created later.",
        examples=[["vpc-flows"], ["flows-eu", "^flows-us-.*"]],
    )
    start: str = Field(
        default="earliest",
        description="Where the first run begins: `earliest`, `latest`, or a time (ISO 8601, by default "
        "UTC). Partitions that are added later are read from their beginning.",
        examples=["latest", "2026-01-31T00:00:00Z"],
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        description="Consumer group, to share the topics with other processes, and to see its lag with"
        " the tools of the cluster. Only the member itself may read what it has claimed, so tasks run"
        " in one process.",
        examples=["flows-to-lake"],
    )
    framing: Literal["lines", "object"] = Field(
        default="lines",
        description="lines: values are text or JSON, decompressed (gzip, zstd) and joined by line feeds. "
        "object: each value is a whole object, such as a Parquet file or a CSV file with a header; "
        "slower.",
        examples=["object"],
    )
    strip_schema_id: bool = Field(
        default=False,
        description="Remove the five-byte prefix of schema registry serializers (JSON Schema) from "
        "values.",
        examples=[True],
    )
    max_records_per_split: int = Field(
        default=100_000,
        ge=1,
        description="Maximum offsets of one split.",
        examples=[20_000],
    )
    on_lost: Literal["error", "skip"] = Field(
        default="error",
        description="When records were deleted before they were read (retention, recreated topic): stop, "
        "or continue with the remaining records and report it in the receipt.",
        examples=["skip"],
    )

    @property
    def session_secs(self) -> float:
        """How long a process of a group keeps its partitions without a heartbeat."""
        return float(self.librdkafka.get("session.timeout.ms", _SESSION_MS)) / 1000

    @field_validator("topics")
    @classmethod
    def _patterns(cls, value: list[str]) -> list[str]:
        for name in value:
            if not name:
                raise ValueError("a topic name must not be empty")
            if name.startswith("^"):
                try:
                    re.compile(name)
                except re.error as error:
                    raise ValueError(f"{name} is not a regular expression: {error}") from error
        return value

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        start_of(value)
        return value


def start_of(text: str) -> str | int:
    """Return `earliest`, `latest`, or a time as milliseconds since 1970; without a zone it is UTC.

    Raises:
        ValueError: it is neither.
    """
    if text in ("earliest", "latest"):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither earliest nor latest nor a time such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
