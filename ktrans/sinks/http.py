"""Requests of JSON, CSV or other text to any HTTP API."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ktrans.api import ComponentConfig, ConfigError, Context, Kind
from ktrans.kit.files.format_option import build_format
from ktrans.kit.http import sink as base
from ktrans.kit.http.answers import ACCEPTED, Answer, Outcome, error_of
from ktrans.kit.http.options import HttpLoginConfig, http_url
from ktrans.kit.rows.pieces import Piece
from ktrans.kit.rows.row_format import TextFormat

_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv"}


class HttpSinkConfig(HttpLoginConfig, type="http"):
    """Sends rows to an HTTP API, at least once.

    A request holds many rows, as lines or as a JSON array. What an answer means is told by its
    status: success (2xx, and `there_statuses`), try again (408, 409, 423, 425, 429, 5xx), too large
    (413: the request is split), the end of the run (401, 403, 404, redirects). Any other status
    refuses rows: the request is split until they are alone, and they go to the rejects.
    """

    nested: ClassVar[dict[str, Kind]] = {"format": "format"}

    url: str = Field(
        description="Where to send rows; may have a query.",
        examples=["https://api.example/v1/flows?source=ktrans"],
    )
    method: Literal["POST", "PUT"] = Field("POST", description="The method.", examples=["POST"])
    format: ComponentConfig = Field(
        ComponentConfig(type="jsonl"),
        description="How a row looks: a format of one text a row, such as jsonl, csv or influx.",
        examples=[{"type": "jsonl"}, {"type": "csv", "header": False}],
    )
    body: Literal["lines", "array"] = Field(
        "lines",
        description="Whether a request is lines, or a JSON array of objects (format jsonl only).",
        examples=["array"],
    )
    content_type: str | None = Field(
        None,
        pattern=r"^[\x20-\x7e]+$",
        description="The header Content-Type; by default that of the format and the body.",
        examples=["application/json"],
    )
    there_statuses: frozenset[int] = Field(
        frozenset(),
        description="More statuses that mean that the rows are stored, such as 409 where the API"
        " knows them already.",
        examples=[[409]],
    )
    id_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="A header with an id of the request: the same when a request with the same rows"
        " is sent again, so that the API can drop it.",
        examples=["Idempotency-Key"],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value, query=True)

    @model_validator(mode="after")
    def _array_of_json(self) -> HttpSinkConfig:
        if self.body == "array" and self.format.type != "jsonl":
            raise ValueError("`body: array` needs the format jsonl")
        return self


class HttpSink(base.HttpSink[HttpSinkConfig]):
    """Sends rows in a text format."""

    def __init__(self, config: HttpSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.method = config.method
        array = config.body == "array"
        by_format = "application/json" if array else _TYPES.get(config.format.type, "text/plain")
        self.content_type = config.content_type or by_format
        if array:
            self.head, self.tail, self.between = b"[", b"]", 1

    @cached_property
    def format(self) -> TextFormat[Any]:
        """The format of the rows."""
        made = build_format(self.config.format, self.context)
        if not isinstance(made, TextFormat):
            raise ConfigError(
                f"{self.config.format.type} makes files, not a text for each row",
                field="format",
                code="format_not_supported",
                hint="take jsonl, csv or influx",
            )
        return made

    @property
    def url(self) -> str:
        """The address of the config."""
        return self.config.url

    def needs(self) -> Sequence[str] | None:
        """Return the columns that the format writes."""
        return self.format.needs()

    def bind(self, schema: pa.Schema) -> None:
        """Pass the schema to the format."""
        self.format.bind(schema)
        if self.config.body == "lines":
            self.head = self.format.header()

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of the format; in an array a comma follows each row."""
        pieces = self.format.pieces(batch)
        if self.config.body == "array" and isinstance(pieces[-1], str):
            pieces[-1] = pieces[-1].removesuffix("\n") + ","
        return pieces

    def headers(self, body: bytes) -> Mapping[str, str]:
        """Return the header with the id of a request."""
        name = self.config.id_header
        return {name: hashlib.sha256(body).hexdigest()} if name else {}

    def judge(self, answer: Answer, rows: int) -> Outcome:
        """Judge by the status alone, since any API may be there."""
        del rows
        error = error_of(answer, self.where)
        if error is not None and answer.status not in self.config.there_statuses:
            raise error
        return ACCEPTED
