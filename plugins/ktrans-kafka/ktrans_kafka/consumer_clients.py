"""The clients that the `kafka` source works with, each with the settings that it rests on."""

from __future__ import annotations

from typing import Any

from ktrans.api import Context
from ktrans_kafka import groups as _groups
from ktrans_kafka import log_events
from ktrans_kafka.client import Troubles, connection
from ktrans_kafka.consumer_reader import Reader
from ktrans_kafka.source_config import KafkaSourceConfig

_READER_DEFAULTS = {
    # One reader reads one partition at a time: let a fetch be worth the round trip, and bound what
    # is fetched ahead of a range's end, which may be thrown away.
    "fetch.message.max.bytes": 8 << 20,
    "queued.max.messages.kbytes": 32 << 10,
    "fetch.queue.backoff.ms": 50,
    # Ranges end where there are records already: a fetch behind the last one holds up the next.
    "fetch.wait.max.ms": 50,
}
_DEFAULTS = {
    "reconnect.backoff.ms": 250,
}
_TRANSACTION_SECS = 20
"""A process that dies within a claim keeps the others waiting for no longer than this."""
_DAY_MS = 24 * 3600 * 1000


class Clients:
    """Makes clients of one cluster.

    Attributes:
        troubles: what they all report their connections' errors to.
    """

    def __init__(self, config: KafkaSourceConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self.troubles = Troubles()

    def admin(self) -> Any:
        """Make a client that asks about topics and offsets."""
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._settings())

    def reader(self) -> Reader:
        """Make a reader of ranges."""
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
        return Reader(consumer, self.troubles, config.fetch_timeout, self._context.stopping)

    def asker(self, group: str) -> Any:
        """Make a consumer that only asks for a group's committed offsets."""
        from confluent_kafka import Consumer

        own = {
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        return Consumer({**self._settings(), **own})

    def reporter(self, group: str) -> Any:
        """Make a consumer that commits offsets for a group, and logs it when that fails."""
        from confluent_kafka import Consumer

        log = self._context.log

        def told(error: Any, places: Any) -> None:
            del places
            if error is not None:
                log.warning(
                    "cannot report to group %s: %s",
                    group,
                    error,
                    extra={"event": log_events.POSITION_NOT_REPORTED, "group": group},
                )

        own = {"group.id": group, "enable.auto.commit": False, "on_commit": told}
        return Consumer({**self._settings(), **own})

    def member(self) -> Any:
        """Make the consumer that is a member of the group."""
        from confluent_kafka import Consumer

        own = {
            "group.id": self._config.group,
            "session.timeout.ms": int(self._config.session_timeout * 1000),
            "heartbeat.interval.ms": int(self._config.session_timeout * 1000 / 6) + 1,
        }
        return Consumer({**self._settings(), **_groups.OWN, **own})

    def claimer(self, name: str) -> Any:
        """Make the producer whose transactions are claims."""
        from confluent_kafka import Producer

        own = {
            "transactional.id": name,
            "transaction.timeout.ms": _TRANSACTION_SECS * 1000,
        }
        return Producer({**self._settings(), **own})

    def _settings(self) -> dict[str, Any]:
        settings = connection(self._config, self._context)
        return {**_DEFAULTS, **settings, "error_cb": self.troubles}
