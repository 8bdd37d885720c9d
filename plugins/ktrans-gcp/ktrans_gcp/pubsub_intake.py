"""Writes messages to segments of the spool, durably, and only then acknowledges them."""

from __future__ import annotations

from pathlib import Path

from ktrans.api import Context
from ktrans.kit import log_events
from ktrans.kit.spool.segments import Segment, Spool
from ktrans_gcp.pubsub_puller import Batch, Puller
from ktrans_gcp.pubsub_source_config import PubsubSourceConfig
from ktrans_gcp.seen_messages import SeenMessages


class _Gathered:
    """The messages of the next segment."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ids: list[str] = []
        self.batches: list[Batch] = []
        self.size = 0
        self.began = 0.0
        self.ordered = False

    def __bool__(self) -> bool:
        return bool(self.batches)


class Intake:
    """Fills segments with what a subscription delivers.

    Attributes:
        seen: the ids of earlier messages.
        slow: whether the last segment was closed although it was not full.
    """

    def __init__(
        self,
        spool: Spool,
        seen_folder: Path,
        puller: Puller,
        config: PubsubSourceConfig,
        context: Context,
    ) -> None:
        self.seen = SeenMessages(seen_folder, config.dedupe_messages)
        self.slow = False
        self._spool = spool
        self._puller = puller
        self._config = config
        self._context = context
        self._gathered = _Gathered()
        self._again = 0

    def fill(self, number: int) -> Segment | None:
        """Fill the next segment, under this number; None if nothing came for `idle_timeout`."""
        self.slow = False
        idle_since = self._context.clock.monotonic()
        while not self._context.stopping():
            now = self._context.clock.monotonic()
            if self._gathered.size >= self._config.segment_size or self._gathered.ordered:
                return self._seal(number) or self.fill(number)
            left = self._gathered.began + self._config.segment_age - now
            if self._gathered and left <= 0:
                self.slow = self._gathered.size < self._config.segment_size // 4
                segment = self._seal(number)
                if segment is not None:
                    return segment
                continue
            idle_left = idle_since + self._config.idle_timeout - now
            if self._gathered or idle_left > 0:
                self._puller.launch(left if self._gathered else idle_left)
            elif not self._puller.flying:
                return None
            for batch in self._puller.arrived():
                self._add(batch)
                idle_since = self._context.clock.monotonic()
        return self._seal(number)

    def drain(self, number: int) -> Segment | None:
        """Wait for the requests under way; their messages become a segment of their own."""
        while self._puller.flying:
            for batch in self._puller.arrived():
                self._add(batch)
        return self._seal(number)

    def log_repeated(self) -> None:
        """Log how many messages were dropped because they had come before."""
        if self._again:
            self._context.log.info(
                "pubsub: %d messages were delivered again, and dropped",
                self._again,
                extra={"event": log_events.MESSAGES_KNOWN, "messages": self._again},
            )
            self._again = 0

    def close(self) -> None:
        """Release messages that are in no segment; after a preview, all of them."""
        self._gathered = _Gathered()
        self._puller.close()

    def _add(self, batch: Batch) -> None:
        gathered = self._gathered
        if not gathered:
            gathered.began = self._context.clock.monotonic()
        gathered.batches.append(batch)
        ids = [message.message_id for message in batch.messages]
        new = self.seen.new(ids)
        for message, fresh in zip(batch.messages, new, strict=True):
            if not fresh:
                self._again += 1
                continue
            data = message.data
            gathered.ids.append(message.message_id)
            gathered.parts.append(data)
            if not data.endswith(b"\n"):
                gathered.parts.append(b"\n")
            gathered.size += len(data) + 1
            gathered.ordered = gathered.ordered or bool(message.ordering_key)
        batch.messages = []

    def _seal(self, number: int) -> Segment | None:
        """Write what was gathered durably, and acknowledge it; None if there was nothing new."""
        gathered = self._gathered
        if not gathered:
            return None
        segment = None
        if gathered.ids:
            # Until it is durable it stays gathered: its ids are known, so it must not be dropped.
            self.seen.write(number, gathered.ids)
            writer = self._spool.begin(Segment(number, number, 0, 1))
            writer.write(b"".join(gathered.parts))
            segment = writer.finish()
        self._gathered = _Gathered()
        if not self._context.ephemeral:
            self._puller.acknowledge(gathered.batches)
        return segment
