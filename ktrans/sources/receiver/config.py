"""Options of the `http` source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from ktrans.api import ConfigError, UsageError
from ktrans.kit.listen import is_local, parse_address
from ktrans.kit.spool.options import SpoolConfig
from ktrans.kit.units import Duration, Size


class EndpointConfig(BaseModel):
    """A path, and what is sent there."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    path: Annotated[str, StringConstraints(pattern=r"^/[^?#\s]*$")] = Field(
        description="Path of the URL.", examples=["/firehose"]
    )
    protocol: Literal["ndjson", "firehose", "pubsub_push", "event_grid", "ktranslate"] = Field(
        description="What is sent: `firehose` (Amazon Data Firehose, HTTP endpoint), `pubsub_push` (push "
        "subscription of Google Cloud Pub/Sub), `event_grid` (webhook of Azure Event Grid), "
        "`ktranslate` (arrays of JSON records), `ndjson` (lines of any text).",
        examples=["firehose", "ndjson"],
    )
    tokens: list[SecretStr] = Field(
        [],
        description="Requests must show one of these: as `Authorization: Bearer ...`; for `firehose` as "
        "its access key; for `pubsub_push` and `event_grid` also as `?token=...` in the URL. Several "
        "allow to change them one after the other. Without any, everyone may send.",
        examples=[["${env:FLOWS_TOKEN}"]],
    )


class TlsConfig(BaseModel):
    """The certificate of the server."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    certificate_file: str = Field(
        min_length=1,
        description="Certificate and its chain (PEM). Changed files are read again within a minute.",
        examples=["/etc/ktrans/tls.crt"],
    )
    key_file: str = Field(
        min_length=1, description="Its private key (PEM).", examples=["/etc/ktrans/tls.key"]
    )
    client_ca_file: str | None = Field(
        None,
        min_length=1,
        description="Clients must have a certificate of one of these authorities (PEM).",
        examples=["/etc/ktrans/clients-ca.crt"],
    )


class HttpSourceConfig(SpoolConfig, type="http"):
    """Requests of services that push, spooled to disk before they are answered.

    Each endpoint's bodies become lines of a segment. A run without --follow reads what waits in the
    spool, listens, and ends once no request has come for `idle_timeout`.
    """

    listen: str = Field(
        ":8088",
        min_length=1,
        description="Address and port. `:8088` is for this machine only, `0.0.0.0:8088` for all.",
        examples=["0.0.0.0:8088"],
    )
    endpoints: list[EndpointConfig] = Field(
        min_length=1,
        description="Paths, and what is sent there. GET /healthz is answered besides.",
        examples=[[{"path": "/flows", "protocol": "ndjson", "tokens": ["${env:FLOWS_TOKEN}"]}]],
    )
    tls: TlsConfig | None = Field(
        None,
        description="Certificate of the server; without it HTTP is plain, for a proxy in front.",
        examples=[{"certificate_file": "/etc/ktrans/tls.crt", "key_file": "/etc/ktrans/tls.key"}],
    )
    idle_timeout: Duration = Field(
        10,
        gt=0,
        description="A run without --follow ends when no request has come for so long.",
        examples=[30],
    )
    segment_size: Size = Field(
        16 << 20,
        ge=1,
        description="A segment is closed at this size.",
        examples=[16_777_216],
    )
    segment_age: Duration = Field(
        1,
        gt=0,
        description="A segment is closed this long after its first request although it is not full.",
        examples=[0.5],
    )
    max_spool_size: Size = Field(
        4 << 30,
        ge=1,
        description="Requests are answered 503 with Retry-After while so many bytes wait in the spool.",
        examples=[17_179_869_184],
    )
    dedupe_requests: int = Field(
        500_000,
        ge=0,
        description="How many ids of requests and messages are remembered, on disk, to drop what is sent "
        "again; about 200 bytes of memory each. 0 keeps every delivery.",
        examples=[1_000_000],
    )
    max_body_size: Size = Field(
        64 << 20, ge=1, description="A larger body is answered 413.", examples=[8_388_608]
    )
    max_inflated_size: Size = Field(
        128 << 20,
        ge=1,
        description="So is one that inflates to more.",
        examples=[33_554_432],
    )
    max_held_size: Size = Field(
        256 << 20,
        ge=1 << 20,
        description="Further requests are answered 503 while the bodies of all connections that are not on "
        "disk yet have so many bytes.",
        examples=[134_217_728],
    )
    max_header_size: Size = Field(
        32 << 10, ge=1024, description="The most bytes of a request's head.", examples=[16_384]
    )
    max_connections: int = Field(
        500,
        ge=1,
        description="Further connections are answered 503. Each takes a file descriptor: `ulimit -n`.",
        examples=[200],
    )
    keep_alive: Duration = Field(
        75,
        gt=0,
        description="A connection without a request is closed after this time.",
        examples=[300],
    )
    request_timeout: Duration = Field(
        120,
        gt=0,
        description="A request must arrive within this time.",
        examples=[30],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            parse_address(self.listen)
        except UsageError as error:
            raise ValueError(f"`listen`: {error.message}; {error.hint}") from None
        twice = [path for path, n in Counter(one.path for one in self.endpoints).items() if n > 1]
        if twice:
            raise ValueError(f"`endpoints` has the path {twice[0]} twice")
        if any(not token.get_secret_value() for one in self.endpoints for token in one.tokens):
            raise ValueError("`endpoints` has an empty token, which everyone can show")
        return self

    def remarks(self) -> Iterator[ConfigError]:
        """Yield what is open to everyone who reaches the port."""
        if is_local(parse_address(self.listen)[0]):
            return
        certified = self.tls is not None and self.tls.client_ca_file is not None
        for endpoint in self.endpoints:
            if not endpoint.tokens and not certified:
                yield ConfigError(
                    f"everyone who reaches {self.listen} can send to {endpoint.path}",
                    field="endpoints",
                    code="open_endpoint",
                    hint="set `tokens` for the endpoint, or `listen` on 127.0.0.1",
                )
        if self.tls is None:
            yield ConfigError(
                f"tokens and records come to {self.listen} in clear text",
                field="listen",
                code="no_tls",
                hint="set `tls`, or let a proxy end TLS on this machine and `listen` on 127.0.0.1",
            )
