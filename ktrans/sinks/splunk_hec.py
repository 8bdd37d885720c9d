"""Events for Splunk's HTTP Event Collector, with indexer acknowledgement where it is on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

import msgspec
import pyarrow as pa
from pydantic import Field, SecretStr, field_validator

from ktrans.api import ConfigError, Context, InterruptedRunError, RetryableError, RunError
from ktrans.kit.http.answers import ACCEPTED, Answer, Fault, Outcome, error_of
from ktrans.kit.http.events import EventConfig, EventTimes, members
from ktrans.kit.http.options import HttpConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.json import check_json, json_piece, object_pieces
from ktrans.kit.rows.pieces import Piece
from ktrans.kit.units import Duration, Size

_OF_CONFIG = {7: "index", 10: None, 11: None, 14: None, 16: None}
"""Codes of Splunk's answers that are about the configuration, and the option at fault."""

_FIRST_POLL_SECS, _MAX_POLL_SECS = 0.2, 2.0


class SplunkHecSinkConfig(EventConfig, HttpConfig, type="splunk_hec"):
    """Sends rows as events to Splunk's HTTP Event Collector (HEC), at least once.

    If the token has indexer acknowledgement, a request counts as accepted once Splunk says that its
    events are stored.
    """

    url: str = Field(
        description="URL of the collector, without the path.",
        examples=["https://splunk.example:8088"],
    )
    token: SecretStr = Field(description="The HEC token.", examples=["${env:SPLUNK_HEC_TOKEN}"])
    index: str | None = Field(
        None, min_length=1, description="The index; by default the token's.", examples=["netflow"]
    )
    sourcetype: str | None = Field(
        "ktrans:flow", min_length=1, description="The source type.", examples=["ktrans:flow"]
    )
    source: str | None = Field(
        None, min_length=1, description="The source; by default the token's.", examples=["ktrans"]
    )
    host: str | None = Field(
        None, min_length=1, description="The host; by default Splunk's choice.", examples=["edge-1"]
    )
    batch_size: Size = Field(
        1_000_000,
        ge=1024,
        le=256 << 20,
        description="Maximum size of a request, before compression (`max_content_length` of Splunk).",
        examples=[1_000_000],
    )
    ack_timeout: Duration = Field(
        60,
        gt=0,
        description="How long to wait for the acknowledgement of a request; then it is sent again.",
        examples=[60],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value)


class _Told(msgspec.Struct, rename={"number": "invalid-event-number", "ack": "ackId"}):
    code: int | None = None
    number: int | None = None
    ack: int | None = None


class _Acks(msgspec.Struct):
    acks: dict[str, bool]


class SplunkHecSink(HttpSink[SplunkHecSinkConfig]):
    """Sends events; each request waits for its acknowledgement, if there is one."""

    probe = b""

    def __init__(self, config: SplunkHecSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.channel = str(uuid.uuid4())

    @property
    def url(self) -> str:
        """The address of events."""
        return f"{self.config.url}/services/collector/event"

    def authorization(self) -> Mapping[str, str]:
        """Return the token, and the channel that acknowledgements need."""
        token = self.config.token.get_secret_value()
        return {"Authorization": f"Splunk {token}", "X-Splunk-Request-Channel": self.channel}

    def bind(self, schema: pa.Schema) -> None:
        """Find the time of a row."""
        check_json(schema)
        self.times = EventTimes(self.config, schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of an event; one without a time gets Splunk's."""
        config = self.config
        constant = members(
            index=config.index,
            sourcetype=config.sourcetype,
            source=config.source,
            host=config.host,
        )
        return [
            "{",
            json_piece(self.times.unix(batch, "s"), '"time":', ","),
            f'{constant}"event":',
            *object_pieces(batch.schema.names, batch.columns, nulls=False, end="}}\n"),
        ]

    def judge(self, answer: Answer, rows: int) -> Outcome:
        """Wait for the acknowledgement of a request that was accepted; else look at Splunk's code."""
        told = answer.read(_Told) or _Told()
        if told.code in _OF_CONFIG:
            raise ConfigError(
                f"{self.where} answers {answer.status}: {answer.message}",
                field=_OF_CONFIG[told.code],
                code="not_found",
            )
        number = told.number if answer.status == 400 else None  # noqa: PLR2004
        if number is not None and 0 <= number < rows:
            again = [other for other in range(rows) if other != number]
            return Outcome({number: Fault("row_refused", answer.message)}, again)
        error = error_of(answer, self.where)
        if error is not None:
            raise error
        if told.code != 0:
            raise RunError(
                f"{self.where} does not answer as Splunk does: {answer.message}",
                code="refused",
                hint="check `url`",
            )
        if told.ack is not None:
            self._wait(told.ack)
        return ACCEPTED

    def _wait(self, number: int) -> None:
        """Ask until a request is acknowledged.

        Raises:
            RetryableError: it is not in time.
        """
        url = f"{self.config.url}/services/collector/ack?channel={self.channel}"
        deadline, wait = time.monotonic() + self.config.ack_timeout, _FIRST_POLL_SECS
        while True:
            answer = self.client.request("POST", url, b'{"acks":[%d]}' % number)
            error = error_of(answer, url.partition("?")[0])
            if error is not None:
                raise error
            told = answer.read(_Acks)
            if told is not None and told.acks.get(str(number)):
                return
            if time.monotonic() + wait > deadline:
                raise RetryableError(
                    f"{self.where} does not acknowledge events within"
                    f" {self.config.ack_timeout:g} s",
                    code="busy",
                )
            if self.context.abandoned():
                raise InterruptedRunError("stopped while Splunk did not acknowledge events")
            time.sleep(wait)
            wait = min(2 * wait, _MAX_POLL_SECS)
