"""The Kafka clients of the `kafka` source; its readers read ranges of offsets.

Readers are consumers that are assigned to a partition. The end of a range is an offset, not a count:
transaction markers, aborted and compacted records have offsets but no messages. A range is done once a
message at or after its end, or the end of the partition's stable part, was received.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ktrans.api import Context, InterruptedRunError, SplitChangedError
from ktrans_kafka.client import connection, kafka
from ktrans_kafka.cluster import Admin
from ktrans_kafka.errors import is_access, name_of
from ktrans_kafka.source_config import KafkaSourceConfig
from ktrans_kafka.source_position import Part, Range

_DEFAULTS = {
    "reconnect.backoff.ms": 250,
    # A reader reads one partition at a time: use large fetches, but limit what is prefetched beyond
    # a range's end, which may be discarded.
    "fetch.message.max.bytes": 8 << 20,
    "queued.max.messages.kbytes": 32 << 10,
    "fetch.queue.backoff.ms": 50,
    # The records of a range exist already: a fetch that waits for new ones delays the next range.
    "fetch.wait.max.ms": 50,
}
_CONSUMER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Only with this the broker waits for offsets of open transactions.
    "isolation.level": "read_committed",
}
_TRANSACTION_SECS = 20
"""Transaction timeout of a claim: how long a process that dies in a claim blocks the others."""


BATCH = 10_000
"""Maximum messages per call."""
WAIT_SECS = 0.1
"""How long to wait for a full batch."""
STOP_SECS = 5.0
"""How long to wait for a silent broker if the run is to stop or the login was refused."""

_DAY_MS = 24 * 3600 * 1000
_GONE = {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION"}
_GOES_ON = {
    "_TRANSPORT",
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_TIMED_OUT",
    "_MAX_POLL_EXCEEDED",
    # Reading by assignment needs no group, but the client always looks up its coordinator.
    "GROUP_AUTHORIZATION_FAILED",
}


class Clients:
    """Creates clients of one cluster, which report their connection errors to `errors`."""

    def __init__(self, config: KafkaSourceConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.admin = Admin(config, context)
        self.errors = self.admin.errors

    def consumer(self, group: str, own: Mapping[str, Any] | None = None) -> Any:
        """Create a consumer that commits only what it is told to."""
        settings = {
            **_DEFAULTS,
            **connection(self.config, self.context),
            **_CONSUMER,
            **(own or {}),
        }
        return kafka.Consumer({**settings, "group.id": group, "error_cb": self.errors})

    def committed(
        self, consumer: Any, parts: Iterable[Part], timeout_secs: float
    ) -> dict[Part, Any]:
        """Return what a consumer's group has committed, after open transactions on it end."""
        wanted = [kafka.TopicPartition(*part) for part in parts]
        if not wanted:
            return {}
        doing = "kafka: reading committed offsets"
        try:
            places = consumer.committed(wanted, timeout_secs)
        except kafka.KafkaException as error:
            message = consumer.poll(0)  # an access error is reported as a message
            refused = None if message is None else message.error()
            cause = refused if refused is not None and is_access(refused) else error
            raise self.errors.explain(cause, doing) from error
        for place in places:
            if place.error is not None:
                raise self.errors.explain(place.error, doing)
        return {(place.topic, place.partition): place for place in places if place.offset >= 0}

    def claim_producer(self, name: str) -> Any:
        """Create the producer whose transactions are claims."""
        return kafka.Producer(
            {
                "reconnect.backoff.ms": _DEFAULTS["reconnect.backoff.ms"],
                **connection(self.config, self.context),
                "transactional.id": name,
                "transaction.timeout.ms": _TRANSACTION_SECS * 1000,
                "error_cb": self.errors,
            }
        )


class Reader:
    """A consumer at one offset of one partition; it resets no offsets, and reports ends."""

    def __init__(self, clients: Clients) -> None:
        config, context = clients.config, clients.context
        group = config.group or f"ktrans-{context.pipeline}"
        own = {
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "max.poll.interval.ms": _DAY_MS,
        }
        self._consumer = clients.consumer(group, own)
        self._errors = clients.errors
        self._silence_secs = 2 * config.connect_timeout
        self._stopping = context.stopping
        self._rest: list[Any] = []
        self.part: Part | None = None
        self.at = -1

    def values(self, wanted: Range) -> Iterator[list[bytes | None]]:
        """Yield the values of a range's records in batches; None is a tombstone.

        Raises:
            SplitChangedError: records of the range were deleted.
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
                self._errors.clear()
                if values:
                    yield values
                heard = time.monotonic()
            else:
                self._check_silence(wanted, time.monotonic() - heard)

    def pause(self) -> None:
        self._consumer.unassign()
        self._rest, self.part = [], None

    def close(self) -> None:
        self._consumer.close()

    def _go_to(self, wanted: Range) -> None:
        if self.part == wanted.part and self.at == wanted.start:
            return
        self._rest = []
        self._consumer.assign([kafka.TopicPartition(wanted.topic, wanted.partition, wanted.start)])
        self.part, self.at = wanted.part, wanted.start

    def _take(self, messages: list[Any], wanted: Range) -> list[bytes | None]:
        """Return the values up to the end of the range or the first event; keep the rest."""
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
            if message.offset() > wanted.end:  # reported only once: keep it for the next range
                self._rest.insert(0, message)
        elif name in _GONE:
            raise SplitChangedError(
                f"{wanted.uri}: offsets {self.at} to {wanted.end - 1} do not exist any more",
                code="split_vanished",
                hint="the topic's retention deleted them, or the topic was deleted and created again; "
                "see the option `on_lost`",
            ) from None
        elif name not in _GOES_ON:
            raise self._errors.explain(error, f"kafka: reading {wanted.uri}")

    def _check_silence(self, wanted: Range, waited: float) -> None:
        if waited > STOP_SECS and self._errors.access is not None:
            raise self._errors.explain(self._errors.access, f"kafka: reading {wanted.uri}")
        if self._stopping() and waited > STOP_SECS:
            raise InterruptedRunError(f"{wanted.uri}: stopped while waiting for records")
        if waited > self._silence_secs:
            silence = f"no records for {waited:.0f} s at offset {self.at}"
            error = kafka.KafkaError(kafka.KafkaError._TIMED_OUT, silence)  # noqa: SLF001  the client's own name
            raise self._errors.explain(error, f"kafka: reading {wanted.uri}")


class Readers:
    """A pool of idle readers, which keep their connections and prefetched records."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._idle: list[Reader] = []
        self._lock = threading.Lock()

    def acquire(self, wanted: Range) -> Reader:
        """Return a reader, preferably one that is at the start of the range."""
        with self._lock:
            for reader in self._idle:
                if reader.part == wanted.part and reader.at == wanted.start:
                    self._idle.remove(reader)
                    return reader
            if self._idle:
                return self._idle.pop(0)
        return Reader(self._clients)

    def release(self, reader: Reader) -> None:
        """Put a usable reader back."""
        with self._lock:
            self._idle.append(reader)

    def pause(self) -> None:
        """Stop the idle readers from fetching while there is nothing to read."""
        with self._lock:
            for reader in self._idle:
                reader.pause()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()
