"""Commits the position of the `kafka` source for a group, for tools that monitor lag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ktrans_kafka import log_events
from ktrans_kafka.source_ranges import Part


class OffsetReporter:
    """Commits offsets for a consumer group that nobody reads. Failures are only logged.

    Args:
        group: the group.
        make: creates a consumer of the group with an `on_commit`, on the first report.
        log: for failures.
    """

    def __init__(
        self, group: str, make: Callable[[str, Callable[..., None]], Any], log: logging.Logger
    ) -> None:
        self._group = group
        self._make = make
        self._log = log
        self._consumer: Any = None

    def report(self, offsets: Mapping[Part, int]) -> None:
        """Commit the next offset of each partition, in the background."""
        from confluent_kafka import KafkaException, TopicPartition

        if self._consumer is None:
            self._consumer = self._make(self._group, self._committed)
        places = [TopicPartition(*part, offset) for part, offset in offsets.items()]
        try:
            self._consumer.poll(0)  # serves the callback of the last commit
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self._committed(error)

    def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _committed(self, error: Any, places: Any = None) -> None:
        del places
        if error is not None:
            self._log.warning(
                "cannot commit offsets for group %s: %s",
                self._group,
                error,
                extra={"event": log_events.POSITION_NOT_REPORTED, "group": self._group},
            )
