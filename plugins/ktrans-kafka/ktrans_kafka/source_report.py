"""Commits the position of the `kafka` source for a group, for tools that monitor lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktrans_kafka import log_events
from ktrans_kafka.source_clients import Clients
from ktrans_kafka.source_ranges import Part


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
