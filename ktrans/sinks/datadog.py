"""Logs for Datadog."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field, SecretStr, field_validator

from ktrans.api import Plain
from ktrans.kit.http.events import EventConfig, EventTimes, members
from ktrans.kit.http.options import HttpConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.json import check_json, json_piece, object_pieces, quoted
from ktrans.kit.rows.pieces import Piece, joined
from ktrans.kit.units import Size


class DatadogSinkConfig(EventConfig, HttpConfig, type="datadog"):
    """Sends rows as logs to Datadog (logs API, version 2), at least once.

    The message of a log is its row as JSON, from which Datadog makes attributes.
    """

    url: str = Field(
        "https://http-intake.logs.datadoghq.com",
        description="URL of the intake of logs, of your site.",
        examples=["https://http-intake.logs.datadoghq.eu", "http://localhost:9428/insert/datadog"],
    )
    api_key: SecretStr = Field(description="An API key.", examples=["${env:DD_API_KEY}"])
    service: str = Field(
        "flow-logs", min_length=1, description="The service of the logs.", examples=["flow-logs"]
    )
    source: str = Field(
        "ktrans", min_length=1, description="The source (ddsource).", examples=["ktrans"]
    )
    tags: tuple[str, ...] = Field(
        (), description="Tags of the logs (ddtags).", examples=[["env:prod", "team:network"]]
    )
    host: str | None = Field(
        None, min_length=1, description="The host of the logs.", examples=["edge-1"]
    )
    batch_rows: int = Field(
        1000, ge=1, le=1000, description="Maximum rows of a request.", examples=[1000]
    )
    batch_size: Size = Field(
        4_500_000,
        ge=1024,
        le=5_000_000,
        description="Maximum size of a request, before compression. Datadog takes 5 MB.",
        examples=[1_000_000],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value)


class DatadogSink(HttpSink[DatadogSinkConfig]):
    """Sends arrays of logs."""

    head, tail, between = b"[", b"]", 1
    probe = b"[]"

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"{self.config.url}/api/v2/logs"

    def authorization(self) -> Mapping[str, str]:
        """Return the API key."""
        return {"DD-API-KEY": self.config.api_key.get_secret_value()}

    def bind(self, schema: pa.Schema) -> None:
        """Find the time of a row."""
        check_json(schema)
        self.times = EventTimes(self.config, schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of a log; one without a time gets Datadog's."""
        config = self.config
        constant = members(
            ddsource=config.source,
            service=config.service,
            ddtags=",".join(config.tags) or None,
            hostname=config.host,
        )
        row = object_pieces(batch.schema.names, batch.columns, nulls=False)
        return [
            f"{{{constant}",
            json_piece(self.times.unix(batch, "ms"), '"timestamp":', ","),
            '"message":',
            Plain(quoted(joined(row, batch.num_rows))),
            "},",
        ]
