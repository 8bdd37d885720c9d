"""The `pubsub` sink: a message for each row, or for several rows, published at the commit.

Sources: Google Cloud Pub/Sub documentation, "Quotas and limits": 10 MB a message and a request, 1000
messages a request, 100 attributes a message, 256 bytes a key and 1024 bytes a value of an attribute,
1 KB an ordering key; "Order messages": the messages of one request have the same ordering key, or
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import Dataset, KtransError
from ktrans.kit.messages.encode import DATA, MessageEncoder, check_text_column, column_text
from ktrans.kit.messages.send import Request, RequestLimits
from ktrans.kit.messages.sink import MessageSink
from ktrans.kit.objects.once import once
from ktrans_gcp.errors import google_errors
from ktrans_gcp.pubsub_client import look, publisher
from ktrans_gcp.pubsub_sink_config import PubsubSinkConfig

_KEY = "ordering_key"
_ATTRIBUTE = "a:"
_MAX_TEXT_BYTES = 1024
_FRAMING_BYTES = 16
"""What an attribute adds to its name and value, at most."""
_OVERHEAD_BYTES = 256
"""What a message's framing, timestamps and id may add to a request, at most, beside names."""
_CALL_SECS = 60.0
_MISSING = "create it, or correct `topic`"
_ACCESS = "grant roles/pubsub.publisher on the topic to these credentials"


class PubsubSink(MessageSink[PubsubSinkConfig]):
    """Publishes messages to a topic."""

    @cached_property
    def encoder(self) -> MessageEncoder:
        config = self.config
        columns = {f"{_ATTRIBUTE}{name}": column for name, column in config.attributes.items()}
        if config.ordering_key is not None:
            columns[_KEY] = config.ordering_key
        return MessageEncoder(
            self.format,
            config.max_message_size,
            config.rows_per_message,
            {name: column_text(column) for name, column in columns.items()},
            _MAX_TEXT_BYTES,
        )

    @property
    def request_limits(self) -> RequestLimits:
        config = self.config
        names = [*config.attributes, *filter(None, [config.id_attribute])]
        names += [name + value for name, value in config.fixed_attributes.items()]
        overhead = _OVERHEAD_BYTES + sum(len(each.encode()) + _FRAMING_BYTES for each in names)
        overhead += len(f"{self.context.pipeline}{self.context.name}".encode())
        return RequestLimits(
            config.batch_messages, config.batch_size, overhead, at_once=config.publishers
        )

    def datasets(self) -> list[Dataset]:
        return [Dataset("pubsub", f"topic:{self.config.project}:{self.config.topic}")]

    @property
    def _what(self) -> str:
        return f"topic {self.config.full_name}"

    def check(self) -> None:
        name = self.config.full_name
        super().check()
        with google_errors(self._what, missing=_MISSING, access=_ACCESS, checking=True):
            look(
                partial(self._client.get_topic, topic=name),
                self._client,
                name,
                "pubsub.topics.publish",
            )

    def columns(self) -> Sequence[str]:
        return (*self.config.attributes.values(), *filter(None, [self.config.ordering_key]))

    def bind(self, schema: pa.Schema) -> None:
        """Check the format and the columns of attributes and key.

        Raises:
            ConfigError: a column is missing or does not fit, or the format makes no texts.
        """
        for column in self.config.attributes.values():
            check_text_column(schema, column, "attributes", "pubsub")
        if self.config.ordering_key is not None:
            check_text_column(schema, self.config.ordering_key, "ordering_key", "pubsub")
        super().bind(schema)

    def lanes(self, batch: pa.RecordBatch) -> np.ndarray | None:
        """Return a number for each ordering key."""
        if _KEY not in batch.schema.names:
            return None
        keys = batch.column(_KEY)
        if keys.null_count == len(keys):
            return None
        return np.asarray(keys.fill_null("").dictionary_encode().indices)

    def outputs(self) -> tuple[str, ...]:
        return (f"pubsub://{self.config.project}/{self.config.topic}",)

    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Publish messages, all or none.

        Raises:
            RunError: Pub/Sub refuses a message, for example since it does not fit the topic's
                schema.
        """
        from google.pubsub_v1.types import PublishRequest

        make = PublishRequest.pb()
        raw = make(topic=self.config.full_name, messages=self._messages(request))
        with google_errors(self._what, missing=_MISSING, access=_ACCESS):
            self._client.publish(request=PublishRequest.wrap(raw), retry=None, timeout=_CALL_SECS)
        return {}

    def _messages(self, request: Request) -> list[Any]:
        """Return messages. By row, since a message is an object of the client library."""
        from google.pubsub_v1.types import PubsubMessage

        make = PubsubMessage.pb()
        batch = request.batch
        attributes = [dict(self.config.fixed_attributes) for _ in request.ids]
        if self.config.id_attribute:
            for one, each in zip(attributes, request.ids, strict=True):
                one[self.config.id_attribute] = each
        for name in batch.schema.names:
            if name.startswith(_ATTRIBUTE):
                for one, value in zip(attributes, batch.column(name).to_pylist(), strict=True):
                    if value is not None:
                        one[name.removeprefix(_ATTRIBUTE)] = value
        keys = [""] * len(attributes)
        if _KEY in batch.schema.names:
            keys = [key or "" for key in batch.column(_KEY).to_pylist()]
        rows = zip(batch.column(DATA).to_pylist(), attributes, keys, strict=True)
        return [make(data=data, attributes=more, ordering_key=key) for data, more, key in rows]

    def close(self) -> None:
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.transport.close()
        super().close()

    @once
    def _client(self) -> Any:
        with google_errors(self._what, missing=_MISSING, access=_ACCESS):
            return publisher(self.config, self.context)
