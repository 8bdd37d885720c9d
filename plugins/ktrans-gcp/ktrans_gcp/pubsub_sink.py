"""The `pubsub` sink: a message for each row, or for several rows, published at the commit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import ConfigError, Dataset, Format
from ktrans.kit.buffered_sink import BufferedSink, Delivery, Kept
from ktrans.kit.files.format_option import build_format
from ktrans.kit.rows.row_format import TextFormat
from ktrans_gcp.errors import google_errors
from ktrans_gcp.pubsub_client import look, publisher
from ktrans_gcp.pubsub_messages import check_column, encode, schema_of
from ktrans_gcp.pubsub_publisher import ACCESS, MISSING, Publisher
from ktrans_gcp.pubsub_sink_config import PubsubSinkConfig


class PubsubSink(BufferedSink[PubsubSinkConfig]):
    """Stages messages, and publishes them at the commit.

    Beside the messages of a task on the local disk, `.sent` has the numbers of those that were published: `first end`
    a line.
    """

    def __init__(self, config: PubsubSinkConfig, context: Any = None) -> None:
        super().__init__(config, context)
        self._client: Any = None

    @cached_property
    def format(self) -> Format[Any]:
        return build_format(self.config.format, self.context)

    def datasets(self) -> list[Dataset]:
        return [Dataset("pubsub", f"topic:{self.config.project}:{self.config.topic}")]

    @property
    def _what(self) -> str:
        return f"topic {self.config.full_name}"

    def check(self) -> None:
        name = self.config.full_name
        super().check()
        with google_errors(self._what, missing=MISSING, access=ACCESS, checking=True):
            client = self._connect()
            look(partial(client.get_topic, topic=name), client, name, "pubsub.topics.publish")

    def needs(self) -> Sequence[str] | None:
        """Return the columns of the format, the attributes and the key; None if it takes all."""
        columns = self.format.needs()
        if columns is None:
            return None
        more = filter(None, [self.config.ordering_key])
        return tuple(dict.fromkeys((*columns, *self.config.attributes.values(), *more)))

    def bind(self, schema: pa.Schema) -> None:
        """Check the format and the columns of attributes and key.

        Raises:
            ConfigError: a column is missing or does not fit, or the format makes no texts.
        """
        for column in self.config.attributes.values():
            check_column(schema, column, "attributes")
        if self.config.ordering_key is not None:
            check_column(schema, self.config.ordering_key, "ordering_key")
        if self.config.rows_per_message == 1 and not isinstance(self.format, TextFormat):
            raise ConfigError(
                f"{self.config.format.type} makes files, not a text for each row",
                field="format",
                code="format_not_supported",
                hint="take jsonl, csv or influx, or set rows_per_message to more than 1",
            )
        self.format.bind(schema)
        super().bind(schema_of(list(self.config.attributes)))

    def encode(self, batch: pa.RecordBatch) -> Kept:
        return encode(self.config, self.format, batch)

    def outputs(self) -> tuple[str, ...]:
        return (f"pubsub://{self.config.project}/{self.config.topic}",)

    def deliver(self, delivery: Delivery) -> None:
        """Publish a task's messages, except those that an earlier attempt is known to have published.

        Raises:
            RunError: Pub/Sub refuses a message, for example since it does not fit the topic's
                schema.
        """
        notes = delivery.path.with_suffix(".sent")

        def note(spans: list[tuple[int, int]]) -> None:
            with notes.open("ab", buffering=0) as file:
                file.write(b"".join(b"%d %d\n" % span for span in spans))

        with google_errors(self._what, missing=MISSING, access=ACCESS):
            client = self._connect()
        first, sent = 0, _sent(notes)
        origin = delivery.mark.replace("/", ".")
        with closing(Publisher(client, self.config, self.context, origin, note)) as sender:
            for batch in delivery.batches():
                end = first + batch.num_rows
                sender.send(batch, first, np.isin(np.arange(first, end), sent))
                first = end

    def close(self) -> None:
        if self._client is not None:
            self._client.transport.close()
            self._client = None
        super().close()

    def _connect(self) -> Any:
        if self._client is None:
            self._client = publisher(self.config, self.context)
        return self._client


def _sent(notes: Path) -> np.ndarray:
    """Return the numbers of the messages that were published."""
    numbers: list[int] = []
    for line in notes.read_text("ascii").splitlines(keepends=True) if notes.exists() else ():
        begin, _, end = line.partition(" ")
        if end.endswith("\n"):  # the last line may be torn
            numbers += range(int(begin), int(end))
    return np.array(numbers, np.int64)
