"""Options of the `nats` sink."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.kit.files.path_template import Slot
from ktrans.kit.messages.labels import columns_of, parse_name
from ktrans.kit.messages.options import HeaderConfig
from ktrans.kit.messages.tls import TlsFilesConfig
from ktrans.kit.units import Duration, Size, WholeSeconds

_SUBJECT = re.compile(r"[^\s.*>\x00-\x1f\x7f]*(\.[^\s.*>\x00-\x1f\x7f]*)*")
_RULE = "a subject has tokens with dots between them, without spaces, * and >"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
SUBJECT = "subject"
HEADER = "h:"
"""Columns of staged messages: the subject, and the prefix of headers."""
MAX_BATCH = 1000
"""Messages of an atomic batch, at most (NATS ADR-50)."""


def parse_subject(text: str) -> tuple[str | Slot, ...]:
    """Parse the template of a subject.

    Raises:
        ValueError: it is not a valid subject, or begins with a column.
    """
    parts = parse_name(text, _SUBJECT, _RULE)
    if "" in "".join(part if isinstance(part, str) else "x" for part in parts).split("."):
        raise ValueError("a token of the subject is empty")
    return parts


class NatsSinkConfig(HeaderConfig, TlsFilesConfig, type="nats"):
    """Options of the NATS sink."""

    servers: list[str] = Field(
        min_length=1,
        description="Addresses of servers of one cluster, nats:// or tls://; the first that answers "
        "is taken.",
        examples=[["nats://localhost:4222"], ["tls://nats-1:4222", "tls://nats-2:4222"]],
    )
    stream: str = Field(
        pattern=r"^[^\s.*>/\\]+$", description="The JetStream stream.", examples=["FLOWS"]
    )
    subject: str = Field(
        description="Subject of the messages. {column} is replaced by the row's value, after fixed "
        "text; characters that separate tokens become _, and null becomes `unknown`.",
        examples=["flows", "flows.{provider}"],
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="`exactly_once` writes atomic batches, which needs NATS 2.12 and a stream with "
        "`allow_atomic`. `at_least_once` publishes message by message, with a Nats-Msg-Id by which "
        "the stream drops repetitions within its duplicate window.",
        examples=["exactly_once", "at_least_once"],
    )
    marks: str = Field(
        "ktrans.marks",
        description="The beginning of the subjects of marks: each atomic batch begins with a message "
        "that shows that its rows are there. The stream needs these subjects too.",
        examples=["ktrans.marks", "flows-marks"],
    )
    mark_ttl: WholeSeconds | None = Field(
        None,
        ge=60,
        description="How long the server keeps marks, if not as long as other messages. It must be "
        "longer than a run may be down. The stream needs `allow_msg_ttl`.",
        examples=["14d"],
    )
    batch_messages: int = Field(
        MAX_BATCH,
        ge=2,
        le=MAX_BATCH,
        description="Messages in an atomic batch, its mark included; otherwise unacknowledged ones at a "
        "time.",
        examples=[500],
    )
    batch_size: Size = Field(
        8_000_000,
        ge=1000,
        description="Bytes of these messages, about; the server keeps an atomic batch in memory.",
        examples=["4 MB"],
    )
    max_message_size: Size = Field(
        1_000_000,
        ge=1,
        description="A row whose message is larger, with subject and headers, goes to the rejects "
        "(`message_too_large`). The limit of a server (max_payload) is 1 MiB by default.",
        examples=["200 kB"],
    )
    domain: str | None = Field(
        None,
        pattern=r"^[^\s.*>]+$",
        description="JetStream domain of the stream, if it is not that of the connection.",
        examples=["hub"],
    )
    username: str | None = Field(None, description="User name.", examples=["ktrans"])
    password: SecretStr | None = Field(
        None, description="Password of that user.", examples=["${env:NATS_PASSWORD}"]
    )
    token: SecretStr | None = Field(None, description="Token.", examples=["${env:NATS_TOKEN}"])
    credentials_file: str | None = Field(
        None,
        description="File of a JWT and its key (.creds).",
        examples=["/run/secrets/ktrans.creds"],
    )
    nkey_file: str | None = Field(
        None, description="File of an NKey seed.", examples=["/run/secrets/ktrans.nk"]
    )
    tls: bool = Field(
        False,
        description="Encrypt the connection, and use no server that does not; implied by tls:// and "
        "by the files of TLS.",
        examples=[True],
    )
    tls_first: bool = Field(
        False,
        description="Begin with TLS, for servers with `handshake_first`.",
        examples=[True],
    )
    timeout: Duration = Field(
        30,
        gt=0,
        description="How long to wait for a connection, or for an answer.",
        examples=[10],
    )

    @property
    def encrypted(self) -> bool:
        """Whether only encrypted connections are used."""
        files = (self.tls_ca_file, self.tls_certificate_file)
        by_address = any(each.startswith("tls://") for each in self.servers)
        return self.tls or self.tls_first or by_address or any(files)

    @field_validator("servers")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for each in value:
            parts = urlsplit(each)
            if parts.scheme not in {"nats", "tls"} or not parts.hostname:
                raise ValueError("an address is nats://host:port or tls://host:port")
            if parts.username is not None:
                raise ValueError("put user, password and token into their options")
        return value

    @field_validator("subject")
    @classmethod
    def _subject(cls, value: str) -> str:
        parse_subject(value)
        return value

    @field_validator("marks")
    @classmethod
    def _marks(cls, value: str) -> str:
        if any(isinstance(part, Slot) for part in parse_subject(value)):
            raise ValueError("marks have no columns")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rows_per_message > 1 and columns_of(parse_subject(self.subject)):
            raise ValueError("columns in subject come from one row: leave out rows_per_message")
        ways = (self.username, self.token, self.credentials_file, self.nkey_file)
        if sum(way is not None for way in ways) > 1:
            raise ValueError("set one of username, token, credentials_file and nkey_file")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        for name in (*self.headers, *self.header_columns):
            if not _HEADER.fullmatch(name) or name.lower().startswith("nats-"):
                raise ValueError(f"{name!r} cannot name a header")
        if any(re.search(r"[\x00-\x1f\x7f]", text) for text in self.headers.values()):
            raise ValueError("a header has no control characters")
        return self
