"""Reading a range of offsets: a consumer that is put at a place, and goes on from there.

The end of a range is a position, not a count: offsets of transaction markers, of aborted and of
compacted records give no messages. A range is through once a message at or behind its end, or the
end of the partition's stable part, has been seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ktrans.api import InterruptedRunError, SplitChangedError
from ktrans_kafka.client import Troubles
from ktrans_kafka.errors import name_of

if TYPE_CHECKING:
    from ktrans_kafka.source_ranges import Part, Range

BATCH = 10_000
"""Messages asked for at a time."""
WAIT_SECS = 0.1
"""How long to wait for so many; what has come by then is taken."""
STOP_SECS = 5.0
"""A run that is told to stop, or whose login is refused, waits no longer for a silent broker."""

_GONE = {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION"}
_GOES_ON = {
    "_TRANSPORT",
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_TIMED_OUT",
    "_MAX_POLL_EXCEEDED",
    # Reading by assignment needs no group, yet the client always asks for its coordinator.
    "GROUP_AUTHORIZATION_FAILED",
}


class Reader:
    """One consumer, at one place of one partition.

    Args:
        consumer: a confluent_kafka.Consumer that reports partition ends and resets no offsets.
        troubles: its error_cb.
        timeout_secs: how long a broker may give nothing before the attempt is given up.
        stopping: whether the run has been told to stop.
    """

    def __init__(
        self,
        consumer: Any,
        troubles: Troubles,
        timeout_secs: float,
        stopping: Callable[[], bool],
    ) -> None:
        self._consumer = consumer
        self._troubles = troubles
        self._timeout = timeout_secs
        self._stopping = stopping
        self._rest: list[Any] = []
        self.part: Part | None = None
        self.at = -1

    def values(self, wanted: Range) -> Iterator[list[bytes | None]]:
        """Give the values of a range's records, some at a time; None is a tombstone.

        Raises:
            SplitChangedError: records of the range are gone.
            RetryableError: the brokers do not answer.
        """
        self._go_to(wanted)
        heard = time.monotonic()
        while self.at < wanted.end:
            before = self.at
            messages = self._rest or self._consumer.consume(
                min(wanted.end - self.at, BATCH), WAIT_SECS
            )
            self._rest = []
            values = self._take(messages, wanted)
            if values or self.at > before:
                self._troubles.clear()
                if values:
                    yield values
                heard = time.monotonic()
            else:
                self._patience(wanted, time.monotonic() - heard)

    def rest(self) -> None:
        """Fetch nothing until the next range."""
        self._consumer.unassign()
        self._rest, self.part = [], None

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _go_to(self, wanted: Range) -> None:
        if self.part == wanted.part and self.at == wanted.start:
            return
        from confluent_kafka import TopicPartition

        self._rest = []
        self._consumer.assign([TopicPartition(wanted.topic, wanted.partition, wanted.start)])
        self.part, self.at = wanted.part, wanted.start

    def _take(self, messages: list[Any], wanted: Range) -> list[bytes | None]:
        """Take messages up to the end of the range or the first event; keep the others."""
        for index, message in enumerate(messages):
            if message.error() is not None:
                self._rest = messages[index + 1 :]
                values = self._records(messages[:index], wanted)
                if self.at < wanted.end:
                    self._event(message, wanted)
                else:
                    self._rest.insert(0, message)
                return values
        return self._records(messages, wanted)

    def _records(self, messages: list[Any], wanted: Range) -> list[bytes | None]:
        if not messages:
            return []
        if messages[-1].offset() >= wanted.end:
            inside = sum(message.offset() < wanted.end for message in messages)
            self._rest = messages[inside:] + self._rest
            messages = messages[:inside]
            self.at = wanted.end
        else:
            self.at = messages[-1].offset() + 1
        return [message.value() for message in messages]

    def _event(self, message: Any, wanted: Range) -> None:
        error = message.error()
        name = name_of(error)
        if name == "_PARTITION_EOF":
            self.at = max(self.at, min(message.offset(), wanted.end))
            if message.offset() > wanted.end:  # said once: the next range needs to know too
                self._rest.insert(0, message)
        elif name in _GONE:
            raise SplitChangedError(
                f"{wanted.uri}: offsets {self.at} to {wanted.end - 1} are not there any more",
                code="split_vanished",
                hint="the topic's retention deleted them, or the topic was made anew; `on_lost` "
                "says what happens then",
            ) from None
        elif name not in _GOES_ON:
            raise self._troubles.explain(error, f"kafka: reading {wanted.uri}")

    def _patience(self, wanted: Range, waited: float) -> None:
        if waited > STOP_SECS and self._troubles.access is not None:
            raise self._troubles.explain(self._troubles.access, f"kafka: reading {wanted.uri}")
        if self._stopping() and waited > STOP_SECS:
            raise InterruptedRunError(f"{wanted.uri}: no records came and the run is to stop")
        if waited > self._timeout:
            from confluent_kafka import KafkaError

            raise self._troubles.explain(
                KafkaError(
                    KafkaError._TIMED_OUT,  # noqa: SLF001  the client's own name for it
                    f"no records for {waited:.0f} s at offset {self.at}",
                ),
                f"kafka: reading {wanted.uri}",
            )


class Readers:
    """Readers that wait for their next range: each keeps its connections and what it prefetched."""

    def __init__(self, make: Callable[[], Reader]) -> None:
        self._make = make
        self._idle: list[Reader] = []
        self._lock = threading.Lock()

    def take(self, wanted: Range) -> Reader:
        """Give a reader, the one that stands at the range's start if there is such a one."""
        with self._lock:
            for reader in self._idle:
                if reader.part == wanted.part and reader.at == wanted.start:
                    self._idle.remove(reader)
                    return reader
            if self._idle:
                return self._idle.pop(0)
        return self._make()

    def give(self, reader: Reader) -> None:
        """Take a reader back that can go on."""
        with self._lock:
            self._idle.append(reader)

    def rest(self) -> None:
        """Let idle readers fetch nothing, while there is nothing to read."""
        with self._lock:
            for reader in self._idle:
                reader.rest()

    def close(self) -> None:
        """Close all readers that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()
