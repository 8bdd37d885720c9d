"""The `azure_monitor` sink: rows in a table of a Log Analytics workspace, by the Logs Ingestion API.

Source: Microsoft Learn, "Logs Ingestion API in Azure Monitor" and "Azure Monitor service limits".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ConfigError, Context
from ktrans.kit.http.answers import Answer, Outcome
from ktrans.kit.http.events import EventConfig, EventTimes
from ktrans.kit.http.options import HttpConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.json import check_json, object_pieces
from ktrans.kit.rows.pieces import Piece
from ktrans.kit.units import Size
from ktrans_azure.errors import azure_errors

_VERSION = "2023-01-01"
_MARGIN_SECS = 300
_TIME = "TimeGenerated"
_OF_CONFIG = {"InvalidStream": "stream", "InvalidStreamName": "stream", "InvalidDcrId": "rule"}
"""Azure's codes for what the configuration names, and the option at fault."""

_LOCAL = {"127.0.0.1", "localhost"}


class AzureMonitorSinkConfig(EventConfig, HttpConfig, type="azure_monitor"):
    """Sends rows to a table of Azure Monitor (Microsoft Sentinel), at least once.

    A data collection rule (DCR) takes the rows and puts them into the table. The columns of its stream
    have the names of the rows' columns; TimeGenerated is added.
    """

    url: str = Field(
        description="The logs ingestion endpoint of the rule, or of a data collection endpoint.",
        examples=["https://flows-a1b2.westeurope-1.ingest.monitor.azure.com"],
    )
    rule: str = Field(
        pattern=r"^dcr-[0-9a-f]+$",
        description="The immutable id of the data collection rule.",
        examples=["dcr-0123456789abcdef0123456789abcdef"],
    )
    stream: str = Field(
        min_length=1, description="The stream of the rule.", examples=["Custom-Flows_CL"]
    )
    scope: str = Field(
        "https://monitor.azure.com/.default",
        description="What tokens are asked for; differs in national clouds.",
        examples=["https://monitor.azure.cn/.default"],
    )
    identity: Literal["default", "managed"] = Field(
        "default",
        description="`default` tries the environment, a workload identity, a managed identity and the"
        " Azure CLI in turn; `managed` is the managed identity of this machine.",
        examples=["managed"],
    )
    client_id: str | None = Field(
        None,
        description="Client id of a user-assigned managed identity.",
        examples=["6f1c9a52-0000-4000-8000-0123456789ab"],
    )
    batch_size: Size = Field(
        1_000_000,
        ge=1024,
        le=1_000_000,
        description="Maximum size of a request, before compression. Azure takes 1 MB.",
        examples=[500_000],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise ValueError("an identity is only shown to https")
        return http_url(value)


class _Error(msgspec.Struct):
    code: str


class _Told(msgspec.Struct):
    error: _Error


class AzureMonitorSink(HttpSink[AzureMonitorSinkConfig]):
    """Sends arrays of rows, with tokens of an identity."""

    head, tail, between = b"[", b"]", 1
    probe = b"[]"

    def __init__(self, config: AzureMonitorSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._lock = threading.Lock()
        self._credential: Any = None
        self._token: Any = None

    @property
    def url(self) -> str:
        config = self.config
        path = f"dataCollectionRules/{config.rule}/streams/{quote(config.stream)}"
        return f"{config.url}/{path}?api-version={_VERSION}"

    def authorization(self) -> Mapping[str, str]:
        """Return the header with a token that is valid for some minutes.

        Raises:
            AccessError: there is no identity.
        """
        with self._lock:
            if self._token is None or self._token.expires_on < time.time() + _MARGIN_SECS:
                with azure_errors("Azure Monitor", f"identity: {self.config.identity}"):
                    self._token = self._identity().get_token(self.config.scope)
                self.client.learn(self._token.token)
            return {"Authorization": f"Bearer {self._token.token}"}

    def bind(self, schema: pa.Schema) -> None:
        check_json(schema)
        self.times = None if _TIME in schema.names else EventTimes(self.config, schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        names, columns = list(batch.schema.names), list(batch.columns)
        if self.times is not None:
            names.append(_TIME)
            columns.append(self.times.timestamps(batch))
        return object_pieces(names, columns, nulls=False, end="},")

    def judge(self, answer: Answer, rows: int) -> Outcome:
        self._check_names(answer)
        return super().judge(answer, rows)

    def check(self) -> None:
        """Check the identity, its role, the rule and the stream, by a request without rows."""
        self._check_names(self.probed())

    def close(self) -> None:
        if self._credential is not None:
            self._credential.close()
            self._credential = None
        super().close()

    def _check_names(self, answer: Answer) -> None:
        told = answer.read(_Told)
        code = told.error.code if told else ""
        if code in _OF_CONFIG:
            raise ConfigError(
                f"{self.config.rule}: {code}: {answer.message}",
                field=_OF_CONFIG[code],
                code="not_found",
            )

    def _identity(self) -> Any:
        if self._credential is None:
            from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

            client_id = self.config.client_id
            if self.config.identity == "managed":
                self._credential = ManagedIdentityCredential(client_id=client_id)
            else:
                self._credential = DefaultAzureCredential(managed_identity_client_id=client_id)
        return self._credential
