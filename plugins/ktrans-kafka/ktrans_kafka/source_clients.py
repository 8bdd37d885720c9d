"""Creates the Kafka clients of the `kafka` source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ktrans.api import Context
from ktrans_kafka import log_events
from ktrans_kafka.client import connection
from ktrans_kafka.cluster import Admin
from ktrans_kafka.errors import is_access
from ktrans_kafka.source_config import KafkaSourceConfig
from ktrans_kafka.source_position import Part

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

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Clients:
    """Creates clients of one cluster.

    Attributes:
        admin: the admin client.
        errors: the connection errors of all clients.
    """

    def __init__(self, config: KafkaSourceConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.admin = Admin(config, context)
        self.errors = self.admin.errors

    def consumer(self, group: str, own: Mapping[str, Any] = _NOTHING) -> Any:
        """Create a consumer that commits only what it is told to."""
        from confluent_kafka import Consumer

        settings = {**_DEFAULTS, **connection(self.config, self.context), **_CONSUMER, **own}
        return Consumer({**settings, "group.id": group, "error_cb": self.errors})

    def committed(
        self, consumer: Any, parts: Iterable[Part], timeout_secs: float
    ) -> dict[Part, Any]:
        """Return what a consumer's group has committed, after open transactions on it end."""
        from confluent_kafka import KafkaException, TopicPartition

        wanted = [TopicPartition(*part) for part in parts]
        if not wanted:
            return {}
        doing = "kafka: reading committed offsets"
        try:
            places = consumer.committed(wanted, timeout_secs)
        except KafkaException as error:
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
        from confluent_kafka import Producer

        return Producer(
            {
                "reconnect.backoff.ms": _DEFAULTS["reconnect.backoff.ms"],
                **connection(self.config, self.context),
                "transactional.id": name,
                "transaction.timeout.ms": _TRANSACTION_SECS * 1000,
                "error_cb": self.errors,
            }
        )


class OffsetReporter:
    """Commits offsets for `report_group`, which nobody reads. Failures are only logged."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._group = clients.config.report_group or ""
        self._consumer: Any = None

    def report(self, offsets: Mapping[Part, int]) -> None:
        """Commit the next offset of each partition, in the background."""
        from confluent_kafka import KafkaException, TopicPartition

        if self._consumer is None:
            own = {"on_commit": self._committed}
            self._consumer = self._clients.consumer(self._group, own)
        places = [TopicPartition(*part, offset) for part, offset in offsets.items()]
        try:
            self._consumer.poll(0)  # serves the callback of the last commit
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self._committed(error)

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _committed(self, error: Any, places: Any = None) -> None:
        del places
        if error is not None:
            self._clients.context.log.warning(
                "cannot commit offsets for group %s: %s",
                self._group,
                error,
                extra={"event": log_events.POSITION_NOT_REPORTED, "group": self._group},
            )
