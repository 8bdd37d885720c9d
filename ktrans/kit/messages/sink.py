"""The base of sinks that send messages, each at least once and always with the same id."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from ktrans.api import Format, KtransError
from ktrans.kit.buffered_sink import BufferedSink, Delivery, Kept
from ktrans.kit.files.format_option import build_format
from ktrans.kit.messages.encode import MessageEncoder
from ktrans.kit.messages.options import MessageSinkConfig
from ktrans.kit.messages.send import Request, RequestLimits, Sender, SentNotes
from ktrans.kit.objects.once import once

M = TypeVar("M", bound=MessageSinkConfig)


class MessageSink(BufferedSink[M]):
    """Stages messages, and sends them at the commit.

    Subclasses implement `encoder`, `request_limits` and `post`, and name columns beside those of the
    format in `columns`. A run that dies while it sends may send some messages again, with the same
    ids. What was sent is noted beside the staged messages (`.sent`).
    """

    @property
    @abc.abstractmethod
    def encoder(self) -> MessageEncoder:
        """How rows become messages."""

    @property
    @abc.abstractmethod
    def request_limits(self) -> RequestLimits:
        """What a request may hold."""

    @abc.abstractmethod
    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Send a request; called from several threads. See `ktrans.kit.messages.send.Post`."""

    def columns(self) -> Sequence[str]:
        """Return the columns that the encoder's texts need."""
        return ()

    def lanes(self, batch: pa.RecordBatch) -> np.ndarray | None:
        """Return a number for each message, if messages of one number keep their order."""
        del batch
        return None

    @once
    def format(self) -> Format[Any]:
        """The format of the data."""
        return build_format(self.config.format, self.context)

    def needs(self) -> Sequence[str] | None:
        """Return the columns of the format and of the texts; None if the format takes all."""
        columns = self.format.needs()
        return None if columns is None else tuple(dict.fromkeys((*columns, *self.columns())))

    def bind(self, schema: pa.Schema) -> None:
        """Check that the format can store the rows."""
        self.encoder.bind(schema)
        super().bind(self.encoder.schema)

    def encode(self, batch: pa.RecordBatch) -> Kept:
        """Return the messages of a batch."""
        return self.encoder.encode(batch)

    def deliver(self, delivery: Delivery) -> None:
        """Send a task's messages, except those that an earlier attempt is known to have sent."""
        sender = Sender(
            self.post,
            self.request_limits,
            delivery.mark.replace("/", "."),
            SentNotes(delivery.path.with_suffix(".sent")),
            self.context,
            self.config.retry_time,
        )
        with closing(sender):
            for batch in delivery.batches():
                sender.send(batch, self.lanes(batch))
