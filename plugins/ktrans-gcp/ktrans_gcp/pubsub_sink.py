"""The `pubsub` sink: a message for each row, or for several rows, published at the commit."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from ktrans.api import (
    AccessError,
    ConfigError,
    Dataset,
    EpochId,
    Format,
    Receipt,
    Refused,
    Sink,
    StageLostError,
    TaskId,
    Writer,
)
from ktrans.kit.files.format_option import build_format
from ktrans_gcp.errors import google_errors
from ktrans_gcp.message_stage import MessageStage
from ktrans_gcp.pubsub_client import publisher
from ktrans_gcp.pubsub_messages import Messages, RowTexts, Shape, check_column, encode, schema_of
from ktrans_gcp.pubsub_publisher import ACCESS, MISSING, Publisher
from ktrans_gcp.pubsub_sink_config import PubsubSinkConfig

_CHECK_SECS = 15.0


class PubsubSink(Sink[PubsubSinkConfig]):
    """Stages messages on the local disk, and publishes them at the commit."""

    def __init__(self, config: PubsubSinkConfig, context: Any = None) -> None:
        super().__init__(config, context)
        self._client: Any = None

    @cached_property
    def format(self) -> Format[Any]:
        """The format of the messages."""
        return build_format(self.config.format, self.context)

    @cached_property
    def stage(self) -> MessageStage:
        """The folder in which messages wait."""
        if self.config.stage_dir:
            return MessageStage(self.context.path(self.config.stage_dir))
        base = Path(self.context.base_dir) / ".ktrans/stage"
        return MessageStage(base / quote(self.context.pipeline, "") / quote(self.context.name, ""))

    @cached_property
    def shape(self) -> Shape:
        """How rows become messages."""
        config = self.config
        return Shape(
            self.format,
            config.rows_per_message,
            config.attributes,
            config.ordering_key,
            config.max_message_size,
        )

    @property
    def _topic(self) -> str:
        return f"projects/{self.config.project}/topics/{self.config.topic}"

    def datasets(self) -> list[Dataset]:
        """Return the topic."""
        return [Dataset("pubsub", f"topic:{self.config.project}:{self.config.topic}")]

    def check(self) -> None:
        """Check whether the topic exists and may be published to, and the stage may be written.

        Raises:
            ConfigError: there is no such topic.
            AccessError: no permission for it, or for the stage's folder.
            UnavailableError: Pub/Sub does not answer.
        """
        self.stage.check()
        with google_errors(f"topic {self._topic}", missing=MISSING, access=ACCESS, checking=True):
            self._check_topic()

    def _check_topic(self) -> None:
        from google.api_core import exceptions as api

        client = self._connect()
        try:
            client.get_topic(topic=self._topic, retry=None, timeout=_CHECK_SECS)
        except api.PermissionDenied:
            # The right to publish does not include the right to look: test the right to publish.
            request = {"resource": self._topic, "permissions": ["pubsub.topics.publish"]}
            answer = client.test_iam_permissions(request=request, timeout=_CHECK_SECS)
            if not answer.permissions:
                raise AccessError(
                    f"topic {self._topic}: not allowed to publish to it", hint=ACCESS
                ) from None

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
        if self.config.rows_per_message == 1 and not isinstance(self.format, RowTexts):
            raise ConfigError(
                f"{self.config.format.type} makes files, not a text for each row",
                field="format",
                code="format_not_supported",
                hint="take jsonl, csv or influx, or set rows_per_message to more than 1",
            )
        self.format.bind(schema)

    def prepare(self, epoch: EpochId) -> None:
        """Remove the messages of attempts at this epoch and at earlier ones."""
        self.stage.discard_until(epoch)

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that stages the task's messages."""
        self.stage.check()
        return _Staging(self, task)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Publish the staged messages, except those that an earlier attempt is known to have published.

        Raises:
            StageLostError: a task's messages are gone from the stage.
            RunError: Pub/Sub refuses a message, for example since it does not fit the topic's
                schema.
        """
        if self.stage.is_published(epoch):
            return
        tasks = [receipt.data for receipt in receipts if receipt.data["messages"]]
        for task in tasks:
            if not self.stage.messages(_name(task)).is_file():
                raise StageLostError(
                    f"the staged messages {self.stage.messages(_name(task))} are gone",
                    hint="something else removes files there; the epoch is processed again",
                )
        if tasks:
            with google_errors(f"topic {self._topic}", missing=MISSING, access=ACCESS):
                self._connect()
            sender = self._publisher()
            try:
                for task in tasks:
                    self._publish(sender, task["task"], _name(task), task["messages"])
            finally:
                sender.close()
            self.stage.mark_published(epoch)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.transport.close()
            self._client = None

    def _connect(self) -> Any:
        if self._client is None:
            self._client = publisher(self.config, self.context)
        return self._client

    def _publisher(self) -> Publisher:
        config = self.config
        return Publisher(
            self._client,
            self._topic,
            width=config.publishers,
            batch_bytes=config.batch_size,
            batch_messages=config.batch_messages,
            extra=config.fixed_attributes,
        )

    def _publish(self, sender: Publisher, task: str, staged: str, messages: int) -> None:
        name = self.config.id_attribute
        origin = f"{self.context.pipeline}.{self.context.name}.{task}"

        def identify(number: int) -> dict[str, str]:
            return {name: f"{origin}-{number}"} if name else {}

        def note(spans: list[tuple[int, int]]) -> None:
            self.stage.note_sent(staged, spans)

        first = 0
        sent = self.stage.sent(staged, messages)
        with (
            pa.memory_map(str(self.stage.messages(staged))) as file,
            pa.ipc.open_stream(file) as it,
        ):
            for batch in it:
                end = first + batch.num_rows
                sender.send(batch, first, sent[first:end], identify, note)
                first = end


def _name(data: Mapping[str, Any]) -> str:
    """Return the name in the stage of the messages of a receipt."""
    return str(data["staged"])


class _Staging(Writer):
    """Writes the messages of one task to the stage."""

    def __init__(self, sink: PubsubSink, task: TaskId) -> None:
        self._shape = sink.shape
        self._stage = sink.stage
        self._task = task
        # Files of other attempts must not be taken for the decided one.
        self._name = f"{task}.{secrets.token_hex(4)}"
        self._path = sink.stage.messages(self._name)
        self._file = self._path.open("wb")
        self._ipc = pa.ipc.new_stream(self._file, schema_of(list(sink.config.attributes)))
        self._refused: list[Refused] = []
        self._rows = 0
        self._messages = 0
        self._bytes = 0
        self._target = f"pubsub://{sink.config.project}/{sink.config.topic}"

    def encode(self, batch: pa.RecordBatch) -> Messages:
        """Turn rows into messages. Pure."""
        return encode(self._shape, batch)

    def write(self, encoded: Messages) -> None:
        """Add messages to the stage."""
        self._refused += encoded.refused
        batch = encoded.batch
        if batch.num_rows:
            self._ipc.write_batch(batch)
            self._rows += pa.compute.sum(batch.column("rows")).as_py()
            self._messages += batch.num_rows
            self._bytes += batch.column("data").nbytes

    def finish(self) -> Receipt:
        """Make the messages durable, still on this machine."""
        self._ipc.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._messages:
            self._stage.sync()
        else:
            self._stage.discard(self._name)
        data = {"task": str(self._task), "staged": self._name, "messages": self._messages}
        outputs = (self._target,) if self._messages else ()
        return Receipt(self._rows, self._bytes, data, outputs)

    def refused(self) -> Sequence[Refused]:
        """Return the rows that are too large for a message."""
        return self._refused

    def abort(self) -> None:
        """Remove what is staged."""
        self._file.close()
        self._stage.discard(self._name)
