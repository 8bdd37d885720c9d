"""The `rabbitmq` sink: messages to an exchange, published at the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from urllib.parse import urlsplit

import pyarrow as pa

from ktrans.api import Dataset, KtransError, RetryableError
from ktrans.kit.errors import as_unavailable
from ktrans.kit.messages.encode import MessageEncoder, check_text_column, column_text
from ktrans.kit.messages.labels import columns_of, name_text
from ktrans.kit.messages.send import Request, RequestLimits
from ktrans.kit.messages.sink import MessageSink
from ktrans_rabbitmq.config import HEADER, KEY, MAX_KEY_BYTES, RabbitmqSinkConfig, parse_key

_MAX_HEADER_BYTES = 8000
"""All headers of a message have to fit into one frame (128 KiB)."""
_SEPARATORS = r"[\pC.*#]"
"""What separates or matches the words of a routing key, and control characters."""
_OVERHEAD_BYTES = 300


class RabbitmqSink(MessageSink[RabbitmqSinkConfig]):
    """Publishes rows with publisher confirms, at least once.

    A message that is published again has the same message_id. One that no queue takes is an error: it is
    published with the flag `mandatory`.
    """

    def datasets(self) -> list[Dataset]:
        config = self.config
        space = f"amqp://{urlsplit(config.url).netloc}"
        return [Dataset(space, config.exchange or config.routing_key)]

    def outputs(self) -> tuple[str, ...]:
        return tuple(f"{each.namespace}/{each.name}" for each in self.datasets())

    @cached_property
    def encoder(self) -> MessageEncoder:
        config = self.config
        parts = parse_key(config.routing_key)
        texts = {f"{HEADER}{column}": column_text(column) for column in config.header_columns}
        if columns_of(parts):
            texts[KEY] = name_text(parts, _SEPARATORS)
        return MessageEncoder(
            self.format,
            config.max_message_size,
            config.rows_per_message,
            texts,
            _MAX_HEADER_BYTES,
            text_limits={KEY: MAX_KEY_BYTES},
        )

    @property
    def request_limits(self) -> RequestLimits:
        config = self.config
        return RequestLimits(
            config.batch_messages, config.batch_size, _OVERHEAD_BYTES, at_once=config.connections
        )

    def columns(self) -> Sequence[str]:
        return (*columns_of(parse_key(self.config.routing_key)), *self.config.header_columns)

    def bind(self, schema: pa.Schema) -> None:
        for column in columns_of(parse_key(self.config.routing_key)):
            check_text_column(schema, column, "routing_key", "rabbitmq")
        for column in self.config.header_columns:
            check_text_column(schema, column, "header_columns", "rabbitmq")
        super().bind(schema)

    def check(self) -> None:
        """Check that the server takes the user, and has exchange and queue; publishes nothing."""
        from ktrans_rabbitmq.session import Check

        super().check()
        try:
            Check(self.config, self.context).run()
        except RetryableError as error:
            raise as_unavailable(error) from error

    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Publish messages, and wait for their confirms."""
        from ktrans_rabbitmq.session import Publish

        return Publish(self.config, self.context, request).publish()
