"""Creates the Kafka clients of the `kafka` source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktrans.api import Context
from ktrans_kafka import group_membership
from ktrans_kafka.client import ConnectionErrors, connection
from ktrans_kafka.source_config import KafkaSourceConfig
from ktrans_kafka.source_reader import Reader

_READER_DEFAULTS = {
    # A reader reads one partition at a time: use large fetches, but limit what is prefetched beyond
    # a range's end, which may be discarded.
    "fetch.message.max.bytes": 8 << 20,
    "queued.max.messages.kbytes": 32 << 10,
    "fetch.queue.backoff.ms": 50,
    # The records of a range exist already: a fetch that waits for new ones delays the next range.
    "fetch.wait.max.ms": 50,
}
_DEFAULTS = {
    "reconnect.backoff.ms": 250,
}
_TRANSACTION_SECS = 20
"""Transaction timeout of a claim: how long a process that dies in a claim blocks the others."""
_DAY_MS = 24 * 3600 * 1000


class Clients:
    """Creates clients of one cluster.

    Attributes:
        connection_errors: the `error_cb` of all clients.
    """

    def __init__(self, config: KafkaSourceConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self.connection_errors = ConnectionErrors()

    def admin(self) -> Any:
        """Create an admin client."""
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._settings())

    def reader(self) -> Reader:
        """Create a reader of ranges."""
        from confluent_kafka import Consumer

        config = self._config
        name = config.group or config.report_group or f"ktrans-{self._context.pipeline}"
        own = {
            "group.id": name,
            "isolation.level": config.isolation,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "max.poll.interval.ms": _DAY_MS,
        }
        consumer = Consumer({**_READER_DEFAULTS, **self._settings(), **own})
        return Reader(
            consumer, self.connection_errors, config.fetch_timeout, self._context.stopping
        )

    def offset_reader(self, group: str) -> Any:
        """Create a consumer that only reads a group's committed offsets."""
        from confluent_kafka import Consumer

        own = {
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        return Consumer({**self._settings(), **own})

    def reporter(self, group: str, on_commit: Callable[..., None]) -> Any:
        """Create a consumer that commits offsets for a group."""
        from confluent_kafka import Consumer

        own = {"group.id": group, "enable.auto.commit": False, "on_commit": on_commit}
        return Consumer({**self._settings(), **own})

    def member(self) -> Any:
        """Create the consumer that is a member of the group."""
        from confluent_kafka import Consumer

        own = {
            "group.id": self._config.group,
            "session.timeout.ms": int(self._config.session_timeout * 1000),
            "heartbeat.interval.ms": int(self._config.session_timeout * 1000 / 6) + 1,
        }
        return Consumer({**self._settings(), **group_membership.SETTINGS, **own})

    def claim_producer(self, name: str) -> Any:
        """Create the producer whose transactions are claims."""
        from confluent_kafka import Producer

        own = {
            "transactional.id": name,
            "transaction.timeout.ms": _TRANSACTION_SECS * 1000,
        }
        return Producer({**self._settings(), **own})

    def _settings(self) -> dict[str, Any]:
        settings = connection(self._config, self._context)
        return {**_DEFAULTS, **settings, "error_cb": self.connection_errors}
