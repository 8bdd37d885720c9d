"""Options of the `kafka` source."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ktrans.kit.units import Duration, Size
from ktrans_kafka.client import KafkaOptions

_GROUP = "the source uses groups by itself; see `group` and `report_group`"
_ITS_OWN = "the source sets it by itself, since its guarantees rest on it"


class KafkaSourceConfig(KafkaOptions):
    """Topics of an Apache Kafka cluster, each record read exactly once.

    Without `group` this pipeline reads all partitions and keeps its place in its own state store.
    With it, several processes share the topics: each has a state store of its own, and all of them
    name the same group.
    """

    owned: ClassVar[dict[str, str]] = {
        "group.id": _GROUP,
        "group.protocol": _GROUP,
        "group.instance.id": _GROUP,
        "partition.assignment.strategy": _GROUP,
        "isolation.level": "see `isolation`",
        "auto.offset.reset": "see `start` and `on_lost`",
        "enable.auto.commit": _ITS_OWN,
        "enable.auto.offset.store": _ITS_OWN,
        "enable.partition.eof": _ITS_OWN,
        "transactional.id": _ITS_OWN,
    }

    type: Literal["kafka"] = Field(
        default="kafka", description="Which component this is.", examples=["kafka"]
    )
    topics: list[str] = Field(
        min_length=1,
        description="Topics by name; an entry that begins with ^ is a regular expression, for all "
        "topics that match it, also those that are created later.",
        examples=[["vpc-flows"], ["flows-eu", "^flows-us-.*"]],
    )
    start: str = Field(
        default="earliest",
        description="Where to begin when nothing is known of an earlier run: `earliest`, `latest`, "
        "or a time (ISO 8601, UTC unless it says otherwise). Partitions that are added later are "
        "read from their beginning.",
        examples=["latest", "2026-01-31T00:00:00Z"],
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        description="Share the topics with the other processes that name this consumer group.",
        examples=["flows-to-lake"],
    )
    report_group: str | None = Field(
        default=None,
        min_length=1,
        description="Without `group`: commit what was read for this consumer group, so that tools "
        "which watch lag see it. It is only told; nothing is read from there.",
        examples=["ktrans-flows"],
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Field(
        default="read_committed",
        description="Whether records of transactions wait for their commit, and aborted ones are "
        "left out.",
        examples=["read_uncommitted"],
    )
    framing: Literal["lines", "object"] = Field(
        default="lines",
        description="lines: values are texts or JSON, gzip and zstd inflated, put one after the "
        "other on lines of their own. object: each value is a whole object of its own, such as a "
        "Parquet file or a CSV file with its header; slower.",
        examples=["object"],
    )
    strip_schema_id: bool = Field(
        default=False,
        description="Take the five bytes off the front of values that schema registry serializers "
        "(JSON Schema) put there.",
        examples=[True],
    )
    max_records_per_split: int = Field(
        default=100_000,
        ge=1,
        description="A range of offsets that is handed out at once holds no more than this many.",
        examples=[20_000],
    )
    record_size: Annotated[Size, Field(ge=1)] | None = Field(
        default=None,
        description="Expected size of a record, by which epochs are filled and work is divided; "
        "learnt while reading if not given (300 to begin with).",
        examples=[1200],
    )
    on_lost: Literal["error", "skip"] = Field(
        default="error",
        description="What to do when records were deleted before they were read (retention, a "
        "topic that was made anew): stop, or say so in the receipt and go on with what is there.",
        examples=["skip"],
    )
    fetch_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="How long the brokers may give nothing of a planned range before the attempt "
        "is given up.",
        examples=[120.0],
    )
    session_timeout: Duration = Field(
        default=45.0,
        gt=0,
        description="With `group`: after this long without a sign of life a process loses its "
        "partitions to the others.",
        examples=[10.0],
    )

    @field_validator("topics")
    @classmethod
    def _patterns(cls, value: list[str]) -> list[str]:
        for name in value:
            if not name:
                raise ValueError("a topic's name is not empty")
            if name.startswith("^"):
                try:
                    re.compile(name)
                except re.error as error:
                    raise ValueError(f"{name} is not a regular expression: {error}") from error
        return value

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        if value not in ("earliest", "latest"):
            milliseconds(value)
        return value

    @model_validator(mode="after")
    def _one_way_to_share(self) -> Self:
        if self.group is not None and self.report_group is not None:
            raise ValueError("report_group is for pipelines without group: a group commits anyway")
        if self.group is not None and self.isolation != "read_committed":
            raise ValueError("group needs isolation: read_committed")
        return self


def milliseconds(text: str) -> int:
    """Turn a time into milliseconds since 1970; without a zone it is UTC.

    Raises:
        ValueError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither earliest nor latest nor a time such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
