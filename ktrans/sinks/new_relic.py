"""Logs for New Relic."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pyarrow as pa
from pydantic import Field, SecretStr, field_validator

from ktrans.api import Context
from ktrans.kit.http.events import EventConfig, EventTimes
from ktrans.kit.http.options import HttpConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.json import check_json, json_piece, object_pieces
from ktrans.kit.rows.pieces import Piece
from ktrans.kit.units import Size


class NewRelicSinkConfig(EventConfig, HttpConfig, type="new_relic"):
    """Sends rows as logs to New Relic (log API), at least once."""

    url: str = Field(
        "https://log-api.newrelic.com/log/v1",
        description="URL of the log API, of your region.",
        examples=["https://log-api.eu.newrelic.com/log/v1"],
    )
    license_key: SecretStr = Field(
        description="A licence key of the account.", examples=["${env:NEW_RELIC_LICENSE_KEY}"]
    )
    attributes: dict[str, str] = Field(
        default_factory=lambda: {"service.name": "flow-logs"},
        description="Attributes of all logs.",
        examples=[{"service.name": "flow-logs", "env": "prod"}],
    )
    batch_size: Size = Field(
        1_000_000,
        ge=1024,
        le=10_000_000,
        description="Maximum size of a request, before compression. New Relic takes 1 MB compressed.",
        examples=[1_000_000],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value)


class NewRelicSink(HttpSink[NewRelicSinkConfig]):
    """Sends logs with common attributes."""

    tail, between = b"]}]", 1

    def __init__(self, config: NewRelicSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        common = msgspec.json.encode({"attributes": config.attributes})
        self.head = b'[{"common":%b,"logs":[' % common
        self.probe = self.head + self.tail

    @property
    def url(self) -> str:
        """The address of the config."""
        return self.config.url

    def authorization(self) -> Mapping[str, str]:
        """Return the licence key."""
        return {"Api-Key": self.config.license_key.get_secret_value()}

    def bind(self, schema: pa.Schema) -> None:
        """Find the time of a row."""
        check_json(schema)
        self.times = EventTimes(self.config, schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of a log; one without a time gets New Relic's."""
        return [
            "{",
            json_piece(self.times.unix(batch, "ms"), '"timestamp":', ","),
            '"attributes":',
            *object_pieces(batch.schema.names, batch.columns, nulls=False, end="}},"),
        ]
