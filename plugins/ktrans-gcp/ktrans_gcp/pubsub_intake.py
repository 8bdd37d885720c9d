"""Writes messages to segments of the spool, durably, and only then acknowledges them."""

from __future__ import annotations

from pathlib import Path

from ktrans.api import Context
from ktrans.kit import log_events
from ktrans.kit.notifications import SkippedEvents, UnknownMessageError
from ktrans.kit.spool.seen_messages import SeenMessages
from ktrans.kit.spool.segments import MESSAGES, Segment, Spool
from ktrans_gcp.pubsub_puller import Batch, Puller
from ktrans_gcp.pubsub_refused import check_logs, to_spool
from ktrans_gcp.pubsub_source_config import PubsubSourceConfig


class _Gathered:
    """The messages of the next segment."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ids: list[str] = []
        self.refused: list[tuple[str, bytes]] = []
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
        skipped: events of messages that hold no logs.
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
        self.skipped = SkippedEvents()
        self.slow = False
        self._spool = spool
        self._puller = puller
        self._config = config
        self._context = context
        self._gathered = _Gathered()
        self._again = 0

    def fill(self, number: int) -> list[Segment]:
        """Fill the next segments, from this number on; none if nothing came for `idle_timeout`.

        Each message that is not understood has a segment of its own, behind that of the others.
        """
        self.slow = False
        idle_since = self._context.clock.monotonic()
        while not self._context.stopping():
            now = self._context.clock.monotonic()
            if self._gathered.size >= self._config.segment_size or self._gathered.ordered:
                return self._seal(number) or self.fill(number)
            left = self._gathered.began + self._config.segment_age - now
            if self._gathered and left <= 0:
                self.slow = self._gathered.size < self._config.segment_size // 4
                segments = self._seal(number)
                if segments:
                    return segments
                continue
            idle_left = idle_since + self._config.idle_timeout - now
            if self._gathered or idle_left > 0:
                self._puller.launch(left if self._gathered else idle_left)
            elif not self._puller.flying:
                return []
            for batch in self._puller.arrived():
                self._add(batch)
                idle_since = self._context.clock.monotonic()
        return self._seal(number)

    def drain(self, number: int) -> list[Segment]:
        """Wait for the requests under way; their messages become segments of their own."""
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
            gathered.ordered = gathered.ordered or bool(message.ordering_key)
            try:
                event = check_logs(data, message.attributes)
            except UnknownMessageError as error:
                spooled = to_spool(str(error), data, message.attributes)
                gathered.refused.append((message.message_id, spooled))
                continue
            if event is not None:
                self.skipped.add([event])
                continue
            gathered.ids.append(message.message_id)
            gathered.parts.append(data)
            if not data.endswith(b"\n"):
                gathered.parts.append(b"\n")
            gathered.size += len(data) + 1
        batch.messages = []

    def _seal(self, number: int) -> list[Segment]:
        """Write what was gathered durably, and acknowledge it; none if there was nothing new."""
        gathered = self._gathered
        if not gathered:
            return []
        segments = []
        # Until it is durable it stays gathered: its ids are known, so it must not be dropped.
        if gathered.ids:
            data = b"".join(gathered.parts)
            segments.append(self._write(Segment(number, number, 0, 1), gathered.ids, data))
        for index, (one, message) in enumerate(gathered.refused, number + len(segments)):
            segments.append(self._write(Segment(index, MESSAGES, 0, 1), [one], message))
        self._gathered = _Gathered()
        if not self._context.ephemeral:
            self._puller.acknowledge(gathered.batches)
        return segments

    def _write(self, segment: Segment, ids: list[str], data: bytes) -> Segment:
        self.seen.write(segment.number, ids)
        writer = self._spool.begin(segment)
        writer.write(data)
        return writer.finish()
