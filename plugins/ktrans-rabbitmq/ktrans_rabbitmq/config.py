"""Options of the `rabbitmq` sink."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.kit.files.path_template import Slot
from ktrans.kit.messages.labels import columns_of, parse_name
from ktrans.kit.messages.options import HeaderConfig
from ktrans.kit.messages.tls import TlsFilesConfig
from ktrans.kit.units import Duration, Size

KEY = "routing_key"
HEADER = "h:"
"""Columns of staged messages: the routing key, and the prefix of headers."""
MAX_KEY_BYTES = 255
"""AMQP 0-9-1: a short string."""
_TEXT = re.compile(r"[^{}\x00-\x1f\x7f]*")


def parse_key(text: str) -> tuple[str | Slot, ...]:
    """Parse the template of a routing key.

    Raises:
        ValueError: it is not valid.
    """
    if not text:  # as exchanges of the type fanout take it
        return ()
    return parse_name(text, _TEXT, "a routing key has no control characters")


class RabbitmqSinkConfig(HeaderConfig, TlsFilesConfig, type="rabbitmq"):
    """Options of the RabbitMQ sink."""

    url: str = Field(
        description="Address of the server, amqp://host:port/virtual-host or amqps://.",
        examples=["amqps://rabbit.example.org/flows", "amqp://localhost:5672/"],
    )
    exchange: str = Field(
        "",
        max_length=255,
        description="Exchange that messages are published to; empty for the default exchange, whose "
        "routing keys are names of queues.",
        examples=["flows"],
    )
    routing_key: str = Field(
        max_length=255,
        description="Routing key of the messages. {column} is replaced by the row's value, after fixed "
        "text; dots, * and # in values become _, and null becomes `unknown`.",
        examples=["flows", "flows.{provider}"],
    )
    declare_exchange: Literal["topic", "direct", "fanout", "headers"] | None = Field(
        None,
        description="Create the exchange with this type, durable, if it is not there.",
        examples=["topic"],
    )
    declare_queue: Literal["quorum", "classic"] | None = Field(
        None,
        description="Create the queue that routing_key names with this type, durable, if it is not "
        "there. For the default exchange.",
        examples=["quorum"],
    )
    batch_messages: int = Field(
        5000,
        ge=1,
        le=100_000,
        description="Messages that are sent on one connection before all are confirmed.",
        examples=[1000],
    )
    batch_size: Size = Field(
        16_000_000, ge=1000, description="Bytes of these messages, about.", examples=["4 MB"]
    )
    connections: int = Field(1, ge=1, le=16, description="Connections at a time.", examples=[2])
    max_message_size: Size = Field(
        10_000_000,
        ge=1,
        le=128_000_000,
        description="A row whose message is larger, with routing key and headers, goes to the rejects "
        "(`message_too_large`). RabbitMQ 4 allows 16 MiB, older versions 128 MiB.",
        examples=["1 MB"],
    )
    username: str = Field("guest", description="User name.", examples=["ktrans"])
    password: SecretStr = Field(
        SecretStr("guest"),
        description="Password; guest/guest only works on the server itself.",
        examples=["${env:RABBITMQ_PASSWORD}"],
    )
    timeout: Duration = Field(
        60,
        gt=0,
        description="How long to wait for a connection and for the confirms of its messages.",
        examples=[30],
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            raise ValueError("an address is amqp://host:port/virtual-host or amqps://...")
        if parts.username is not None:
            raise ValueError("put user and password into their options")
        if parts.query or parts.fragment:
            raise ValueError("leave out what follows the virtual host")
        return value

    @field_validator("routing_key")
    @classmethod
    def _key(cls, value: str) -> str:
        parse_key(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        slots = columns_of(parse_key(self.routing_key))
        if self.rows_per_message > 1 and slots:
            raise ValueError("columns in routing_key come from one row: leave out rows_per_message")
        if self.declare_exchange and not self.exchange:
            raise ValueError("declare_exchange needs the name of an exchange")
        if self.declare_queue and (self.exchange or slots or not self.routing_key):
            raise ValueError("declare_queue needs the default exchange, and a queue in routing_key")
        if not self.exchange and not self.routing_key:
            raise ValueError("the default exchange needs the name of a queue in routing_key")
        if (self.tls_ca_file or self.tls_key_file) and not self.url.startswith("amqps://"):
            raise ValueError("the TLS files need an address with amqps://")
        if any(len(name.encode()) > 255 for name in (*self.headers, *self.header_columns)):  # noqa: PLR2004
            raise ValueError("the name of a header has at most 255 bytes")
        if sum(len(value.encode()) for value in self.headers.values()) > 8000:  # noqa: PLR2004
            raise ValueError("headers have at most 8000 bytes together")
        return self
