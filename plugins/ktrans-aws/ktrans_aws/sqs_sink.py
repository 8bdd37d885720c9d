"""The `sqs` sink: a message for each row, or for several rows, in an SQS queue.

Sources: Amazon SQS API Reference, SendMessageBatch: 10 messages and 1 MiB a request, attributes
included, and the characters of a text; SendMessage: 10 attributes, and the 128 characters of deduplication
ids and groups. Developer Guide, "Exactly-once processing": ids are remembered for 5 minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from ktrans.api import ConfigError, Dataset, KtransError, RowsError
from ktrans.kit.buffered_sink import Kept
from ktrans.kit.messages.encode import DATA, MessageEncoder, check_text_column, column_text
from ktrans.kit.messages.send import Request, RequestLimits
from ktrans.kit.rows.row_format import TextFormat
from ktrans.kit.units import Size
from ktrans_aws.errors import aws_errors, part_error
from ktrans_aws.stream_sink import AwsMessageConfig, AwsMessageSink, unanswered

_compute: Any = pc
_MAX_BYTES = 1 << 20
_ATTRIBUTE = "a:"
_GROUP = "group"
_NO_GROUP = "none"
_MAX_ATTRIBUTES = 10
_TYPE = "String"
_ID_BYTES = 128
_NAME = re.compile(r"(?!aws\.|amazon\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.IGNORECASE)
_PLAIN = re.compile(r"[!-~]{1,128}")
"""Letters, digits and punctuation: what deduplication ids and groups are made of."""
_NOT_TEXT = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
"""Characters that SQS does not take (those of XML 1.0 are left)."""


class SqsSinkConfig(AwsMessageConfig, type="sqs"):
    """Sends rows to an SQS queue, at least once.

    A FIFO queue (its name ends with .fifo) drops what is sent again within five minutes, by the same id
    that messages of other queues have as the attribute `ktrans_id`.
    """

    queue_url: str = Field(
        min_length=1,
        description="URL of the queue.",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/flows"],
    )
    attributes: dict[str, str] = Field(
        default_factory=dict,
        description="Attributes that a message gets from its row, as name: column; at most 10 with the "
        "id. Rows without a value lack the attribute. Needs a message a row.",
        examples=[{"account": "account_id"}],
    )
    id_attribute: str | None = Field(
        "ktrans_id",
        description="Attribute that names pipeline, sink, epoch, task and message: the same when a "
        "message is sent again, so that consumers can drop it. null for none.",
        examples=["ktrans_id"],
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="Column whose value is the message group. A FIFO queue delivers the messages of a "
        "group in their order; without this option all are one group. Needs a message a row.",
        examples=["interface_id"],
    )
    max_message_size: Size = Field(
        1 << 18,
        ge=1000,
        le=_MAX_BYTES,
        description="A row whose message is larger, attributes included, goes to the rejects "
        "(`message_too_large`). Queues take up to 1 MiB, older ones 256 KiB unless they are set up for more.",
        examples=["1 MiB"],
    )

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps order and drops what is sent again."""
        return self.queue_url.endswith(".fifo")

    @property
    def overhead(self) -> int:
        """The bytes that the names, types and ids of attributes add to a message, at most."""
        names = [*self.attributes, *filter(None, [self.id_attribute])]
        size = sum(len(name.encode()) + len(_TYPE) for name in names)
        return size + (_ID_BYTES if self.id_attribute else 0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rows_per_message > 1 and (self.attributes or self.group):
            raise ValueError("attributes and group come from one row: leave out rows_per_message")
        names = [*self.attributes, *filter(None, [self.id_attribute])]
        for name in names:
            if not _NAME.fullmatch(name) or len(name) > 256:  # noqa: PLR2004
                raise ValueError(f"{name!r} cannot name an attribute of a message of SQS")
        if len(names) > _MAX_ATTRIBUTES:
            raise ValueError(f"a message has at most {_MAX_ATTRIBUTES} attributes")
        if len(set(names)) < len(names):
            raise ValueError("two attributes have the same name")
        return self


class SqsSink(AwsMessageSink[SqsSinkConfig]):
    """Sends messages to a queue; those that it does not accept are sent again."""

    service = "sqs"

    @cached_property
    def encoder(self) -> MessageEncoder:
        config = self.config
        columns = {f"{_ATTRIBUTE}{name}": column for name, column in config.attributes.items()}
        if config.group is not None:
            columns[_GROUP] = config.group
        return MessageEncoder(
            self.format,
            config.max_message_size - config.overhead,
            config.rows_per_message,
            {name: column_text(column) for name, column in columns.items()},
        )

    @property
    def request_limits(self) -> RequestLimits:
        config = self.config
        return RequestLimits(10, _MAX_BYTES, config.overhead, config.requests_at_once)

    def datasets(self) -> list[Dataset]:
        url = urlsplit(self.config.queue_url)  # as the source names it
        return [Dataset(f"sqs://{url.hostname}", url.path.strip("/"))]

    def outputs(self) -> tuple[str, ...]:
        return (self.config.queue_url,)

    def columns(self) -> Sequence[str]:
        return (*self.config.attributes.values(), *filter(None, [self.config.group]))

    def bind(self, schema: pa.Schema) -> None:
        """Check the format, which has to be of text, and the columns of attributes and group."""
        for column in self.config.attributes.values():
            check_text_column(schema, column, "attributes", "sqs")
        if self.config.group is not None:
            check_text_column(schema, self.config.group, "group", "sqs")
        if not isinstance(self.format, TextFormat):
            raise ConfigError(
                f"messages of SQS are text, and {self.config.format.type} is not",
                field="format",
                code="format_not_supported",
                hint="take jsonl, csv or influx",
            )
        super().bind(schema)

    def encode(self, batch: pa.RecordBatch) -> Kept:
        """Return the messages of a batch.

        Raises:
            RowsError: rows have characters that SQS does not take.
        """
        kept = super().encode(batch)
        if any(map(_any, _not_text(kept.batch))):
            assert isinstance(self.format, TextFormat)
            texts = pa.chunked_array(self.format.texts(batch))
            flags = _flags(texts).combine_chunks()
            for name, text in self.encoder.texts.items():
                if name.startswith(_ATTRIBUTE):  # a group of other characters becomes a digest
                    flags = _compute.or_(flags, _flags(text(batch)))
            raise RowsError(
                "the row has control characters or U+FFFE or U+FFFF, which SQS does not take",
                rows=flags,
                code="characters_not_allowed",
                hint="take the format jsonl, which escapes control characters",
            )
        return kept

    def lanes(self, batch: pa.RecordBatch) -> np.ndarray | None:
        """Return a number for each message of a FIFO queue: equal groups have equal numbers."""
        if not self.config.fifo:
            return None
        if self.config.group is None:
            return np.zeros(batch.num_rows, np.int64)
        groups = batch.column(_GROUP).fill_null("").dictionary_encode()
        return np.asarray(groups.indices) % self.config.requests_at_once

    def check(self) -> None:
        super().check()
        url = self.config.queue_url
        with aws_errors(f"look at {url}", checking=True):
            answer = self.client.get_queue_attributes(
                QueueUrl=url, AttributeNames=["MaximumMessageSize"]
            )
        largest = int(answer.get("Attributes", {}).get("MaximumMessageSize", _MAX_BYTES))
        if self.config.max_message_size > largest:
            raise ConfigError(
                f"the queue {url} takes messages of {largest} bytes",
                field="max_message_size",
                code="over_limit",
                hint="lower it, or raise the queue's MaximumMessageSize",
            )

    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Send messages; returns those that the queue did not accept."""
        url = self.config.queue_url
        with aws_errors(f"send messages to {url}"):
            answer = self.client.send_message_batch(
                QueueUrl=url, Entries=list(self._entries(request))
            )
        what = f"send a message to {url}"
        failed = {
            int(one["Id"]): part_error(
                what, one["Code"], one.get("Message", ""), lasting=one.get("SenderFault", False)
            )
            for one in answer.get("Failed", ())
        }
        sent = {int(one["Id"]) for one in answer.get("Successful", ())}
        silent = set(range(len(request.ids))) - sent - set(failed)
        return {**dict.fromkeys(silent, unanswered(len(silent), what)), **failed}

    def _entries(self, request: Request) -> Iterator[dict[str, Any]]:
        """Return the messages of a request. By row, since each is a mapping for the SDK."""
        config, rows = self.config, request.batch.to_pylist()
        for at, (row, name) in enumerate(zip(rows, map(_plain, request.ids), strict=True)):
            texts = {
                key.removeprefix(_ATTRIBUTE): value
                for key, value in row.items()
                if key.startswith(_ATTRIBUTE) and value  # SQS takes no empty ones
            }
            if config.id_attribute:
                texts[config.id_attribute] = name
            entry = {"Id": str(at), "MessageBody": row[DATA].decode()}
            if texts:
                entry["MessageAttributes"] = {
                    key: {"DataType": _TYPE, "StringValue": value} for key, value in texts.items()
                }
            if config.fifo or config.group:
                entry["MessageGroupId"] = _plain(row.get(_GROUP) or _NO_GROUP)
            if config.fifo:
                entry["MessageDeduplicationId"] = name
            yield entry


def _plain(text: str) -> str:
    """Return a text as an id of SQS: itself, or a digest if it is too long or has other characters."""
    if _PLAIN.fullmatch(text):
        return text
    return blake2b(text.encode(), digest_size=32).hexdigest()


def _not_text(messages: pa.RecordBatch) -> Iterator[pa.Array]:
    yield _flags(messages.column(DATA))
    for name in messages.schema.names:
        if name.startswith(_ATTRIBUTE):
            yield _flags(messages.column(name))


def _flags(texts: Any) -> Any:
    """Return which texts have characters that SQS does not take."""
    found = _compute.match_substring_regex(texts.cast(pa.large_string()), _NOT_TEXT)
    return found.fill_null(False)


def _any(flags: pa.Array) -> bool:
    return bool(_compute.any(flags).as_py())
