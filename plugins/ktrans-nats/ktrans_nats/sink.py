"""The `nats` sink: messages of a JetStream stream, published at the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import pyarrow as pa

from ktrans.api import Dataset, DeliveryGuarantee, KtransError, RetryableError
from ktrans.kit.buffered_sink import Delivery
from ktrans.kit.errors import as_unavailable
from ktrans.kit.messages.encode import MessageEncoder, check_text_column
from ktrans.kit.messages.labels import columns_of, header_text, name_text
from ktrans.kit.messages.send import Request, RequestLimits
from ktrans.kit.messages.sink import MessageSink
from ktrans.kit.retry import Retry, with_progress
from ktrans_nats.config import HEADER, SUBJECT, NatsSinkConfig, parse_subject

_MAX_TEXT_BYTES = 1000
"""Of a subject, which has to fit into a line of the protocol (4 kB), and of a header."""
_SEPARATORS = r"[\pC\pZ.*>]"
"""What separates or matches tokens, with all control characters and spaces of Unicode."""
_CONTROL = r"[\x00-\x1f\x7f]"


class NatsSink(MessageSink[NatsSinkConfig]):
    """Publishes rows to a stream of NATS JetStream, exactly once by atomic batches.

    The first message of a batch is a mark, on a subject of its own, that must not be there yet. So a
    batch that is sent again is refused by the server, and the marks show which rows are there.
    """

    @property
    def delivery(self) -> DeliveryGuarantee:
        return self.config.delivery

    def datasets(self) -> list[Dataset]:
        return [Dataset(f"nats://{_host(self.config)}", self.config.stream)]

    def outputs(self) -> tuple[str, ...]:
        return (f"nats://{_host(self.config)}/{self.config.stream}",)

    @cached_property
    def encoder(self) -> MessageEncoder:
        config = self.config
        parts, headers = parse_subject(config.subject), config.header_columns
        texts = {f"{HEADER}{column}": header_text(column, _CONTROL) for column in headers}
        if columns_of(parts):
            texts[SUBJECT] = name_text(parts, _SEPARATORS)
        return MessageEncoder(
            self.format, config.max_message_size, config.rows_per_message, texts, _MAX_TEXT_BYTES
        )

    @property
    def request_limits(self) -> RequestLimits:
        config = self.config
        return RequestLimits(config.batch_messages, config.batch_size, 200, at_once=1)

    def columns(self) -> Sequence[str]:
        return (*columns_of(parse_subject(self.config.subject)), *self.config.header_columns)

    def bind(self, schema: pa.Schema) -> None:
        for column in columns_of(parse_subject(self.config.subject)):
            check_text_column(schema, column, "subject", "nats")
        for column in self.config.header_columns:
            check_text_column(schema, column, "header_columns", "nats")
        super().bind(schema)

    def check(self) -> None:
        """Check that the stream is there and takes what the sink sends; sends nothing."""
        from ktrans_nats.client import Connection, call
        from ktrans_nats.stream import check_stream, stream_config

        super().check()

        async def look(connection: Connection) -> None:
            found = await stream_config(connection, self.config.stream)
            check_stream(found, self.config, connection.nats.max_payload)

        try:
            call(self.config, self.context, look)
        except RetryableError as error:
            raise as_unavailable(error) from error

    def deliver(self, delivery: Delivery) -> None:
        from ktrans_nats.batches import TaskMessages, send_batches
        from ktrans_nats.client import call

        if self.config.delivery == "at_least_once":
            super().deliver(delivery)
            return
        task = TaskMessages(self.config, self.context, delivery)
        with_progress(
            lambda: call(
                self.config, self.context, lambda connection: send_batches(connection, task)
            ),
            lambda: task.first,
            Retry(None, self.config.retry_time, first_wait_secs=0.5, max_wait_secs=15),
            stopping=self.context.abandoned,
            health=self.context.health,
        )

    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Publish messages one by one."""
        from ktrans_nats.batches import send_singly
        from ktrans_nats.client import call

        return call(
            self.config,
            self.context,
            lambda connection: send_singly(connection, self.config, request),
        )


def _host(config: NatsSinkConfig) -> str:
    return config.servers[0].partition("://")[2].rstrip("/")
