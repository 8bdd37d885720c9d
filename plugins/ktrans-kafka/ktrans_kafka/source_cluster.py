"""Queries topics, partitions and offsets of a cluster for the `kafka` source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktrans.api import ConfigError, RetryableError
from ktrans.kit.retry import Retry, with_retries
from ktrans_kafka.client import ConnectionErrors
from ktrans_kafka.source_ranges import Part

_RETRY_SECS = 0.5
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""The all-zero topic id, which brokers without topic ids return."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        name: its name.
        id: the unique id of the topic; "" if the brokers have no topic ids.
        partitions: their numbers.
    """

    name: str
    id: str
    partitions: tuple[int, ...]


class Cluster:
    """Queries a cluster, for all partitions at once.

    Args:
        make: creates the AdminClient, on the first query.
        connection_errors: its error_cb.
        timeout_secs: how long to wait for an answer.
        committed_only: whether a partition ends at its first open transaction.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        connection_errors: ConnectionErrors,
        timeout_secs: float,
        *,
        committed_only: bool,
    ) -> None:
        self._make = make
        self._connection_errors = connection_errors
        self._timeout = timeout_secs
        self._committed_only = committed_only
        self._client: Any = None

    def topics(self, wanted: Sequence[str]) -> dict[str, Topic]:
        """Return the topics with these names, and those that match patterns (which begin with ^).

        Raises:
            ConfigError: a named topic does not exist.
            KtransError: the cluster cannot be reached, or denies access.
        """
        from confluent_kafka import TopicCollection

        names = [name for name in wanted if not name.startswith("^")]
        patterns = [re.compile(name) for name in wanted if name.startswith("^")]
        if patterns:
            names += sorted(
                name
                for name in self._all()
                if name not in names
                and not name.startswith("__")
                and any(pattern.match(name) for pattern in patterns)
            )
        if not names:
            return {}
        answers = self._ask(
            "kafka: looking up topic {}",
            "describe_topics",
            TopicCollection(names),
            request_timeout=self._timeout,
        )
        found = {}
        for name, description in answers.items():
            number = tuple(sorted(part.id for part in description.partitions))
            identity = str(description.topic_id)
            found[name] = Topic(name, "" if identity == _NO_ID else identity, number)
        return found

    def starts(self, parts: Iterable[Part]) -> dict[Part, int]:
        """Return the first available offset of each partition."""
        from confluent_kafka.admin import OffsetSpec

        return self._offsets(dict.fromkeys(parts, OffsetSpec.earliest()))

    def ends(self, parts: Iterable[Part]) -> dict[Part, int]:
        """Return the offset after the last readable record of each partition."""
        from confluent_kafka.admin import OffsetSpec

        return self._offsets(dict.fromkeys(parts, OffsetSpec.latest()))

    def at_time(self, parts: Iterable[Part], milliseconds: int) -> dict[Part, int]:
        """Return the first offset at or after a time; the end if there is none."""
        from confluent_kafka.admin import OffsetSpec

        parts = list(parts)
        found = self._offsets(dict.fromkeys(parts, OffsetSpec.for_timestamp(milliseconds)))
        later = self.ends(part for part in parts if found[part] < 0)
        return {**found, **later}

    def close(self) -> None:
        """Close the connections."""
        self._client = None

    def _all(self) -> list[str]:
        from confluent_kafka import KafkaException

        try:
            return list(self._admin().list_topics(timeout=self._timeout).topics)
        except KafkaException as error:
            raise self._explain(error, "kafka: listing the topics") from error

    def _offsets(self, asked: Mapping[Part, Any]) -> dict[Part, int]:
        from confluent_kafka import IsolationLevel, TopicPartition

        if not asked:
            return {}
        level = (
            IsolationLevel.READ_COMMITTED
            if self._committed_only
            else IsolationLevel.READ_UNCOMMITTED
        )
        answers = self._ask(
            "kafka: looking up offsets of {}",
            "list_offsets",
            {TopicPartition(*part): spec for part, spec in asked.items()},
            isolation_level=level,
            request_timeout=self._timeout,
        )
        return {(part.topic, part.partition): answer.offset for part, answer in answers.items()}

    def _admin(self) -> Any:
        if self._client is None:
            self._client = self._make()
        return self._client

    def _ask(self, doing: str, name: str, *arguments: Any, **options: Any) -> dict[Any, Any]:
        """Call a method of the client that returns futures, and wait for their results.

        The engine does not retry plans, so transient errors (a partition changes its leader) are
        retried here.
        """
        answers = with_retries(
            lambda: self._once(doing, name, *arguments, **options),
            Retry(None, self._timeout, first_wait_secs=_RETRY_SECS, max_wait_secs=_RETRY_SECS),
            before_wait=lambda _: self._all(),  # refreshes the client's knowledge of leaders
        )
        self._connection_errors.clear()
        return answers

    def _once(self, doing: str, name: str, *arguments: Any, **options: Any) -> dict[Any, Any]:
        from confluent_kafka import KafkaException

        try:
            futures = getattr(self._admin(), name)(*arguments, **options)
        except KafkaException as error:
            raise self._explain(error, "kafka: asking the cluster") from error
        answers = {}
        for key, future in futures.items():
            what = doing.format(getattr(key, "topic", key))
            try:
                answers[key] = future.result(self._timeout + 10)
            except KafkaException as error:
                raise self._explain(error, what) from error
            except TimeoutError as error:
                raise RetryableError(f"{what}: no answer in {self._timeout:.0f} s") from error
        return answers

    def _explain(self, error: Exception, doing: str) -> Exception:
        self._admin().poll(0)  # serves error_cb, which may have the cause
        made = self._connection_errors.explain(error, doing, connecting=True)
        if isinstance(made, ConfigError):
            made.field = made.field or "topics"
            made.hint = "create the topic, or correct the name under `topics`"
        return made
