"""The options that sinks of messages share."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from ktrans.api.config import ComponentConfig
from ktrans.api.spec import Kind
from ktrans.kit.stage_option import BufferedSinkConfig
from ktrans.kit.units import Duration


class MessageSinkConfig(BufferedSinkConfig):
    """Options of sinks that send messages of one or several rows."""

    nested: ClassVar[dict[str, Kind]] = {"format": "format"}

    format: ComponentConfig = Field(
        ComponentConfig(type="jsonl"),
        description="How rows look in a message. For a message a row: jsonl, csv or influx. With "
        "`rows_per_message` any format, such as arrow or parquet.",
        examples=[{"type": "jsonl"}, {"type": "arrow"}],
    )
    rows_per_message: int = Field(
        1,
        ge=1,
        description="How many rows a message holds, at most; more than one makes it a small file.",
        examples=[1000],
    )
    retry_time: Duration = Field(
        120,
        gt=0,
        description="How long a request, or the part of it that was not accepted, is sent again with "
        "growing pauses before the run ends. The next run goes on with what was not sent.",
        examples=["10m"],
    )


class HeaderConfig(MessageSinkConfig):
    """Options of sinks whose messages have headers."""

    headers: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="Headers of every message.",
        examples=[{"producer": "ktrans"}],
    )
    header_columns: list[str] = Field(
        default_factory=list,
        max_length=12,
        description="Columns that become headers with the column's name; nulls are omitted. Needs a "
        "message a row.",
        examples=[["provider", "log_type"]],
    )

    @model_validator(mode="after")
    def _headers(self) -> Self:
        names = [name.lower() for name in (*self.headers, *self.header_columns)]
        if len(set(names)) < len(names):
            raise ValueError("two headers have the same name")
        if self.rows_per_message > 1 and self.header_columns:
            raise ValueError("header_columns come from one row: leave out rows_per_message")
        return self
