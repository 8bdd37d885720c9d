"""What the `kafka` source asks a cluster about: topics, their partitions, where these begin and end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tenacity

from ktrans.api import ConfigError, RetryableError
from ktrans_kafka.client import Troubles

if TYPE_CHECKING:
    from ktrans_kafka.source_ranges import Part

_AGAIN_SECS = 0.5
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""A topic id of zeros, from brokers that know none."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        name: its name.
        id: drawn by the cluster when it was created; "" if the brokers know of no such ids.
        partitions: their numbers.
    """

    name: str
    id: str
    partitions: tuple[int, ...]


class Cluster:
    """Questions to a cluster, each answered for all partitions at once.

    Args:
        make: makes the AdminClient, on the first question.
        troubles: its error_cb.
        timeout_secs: how long to wait for an answer.
        committed_only: whether a partition ends where its first open transaction begins.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        troubles: Troubles,
        timeout_secs: float,
        *,
        committed_only: bool,
    ) -> None:
        self._make = make
        self._troubles = troubles
        self._timeout = timeout_secs
        self._committed_only = committed_only
        self._client: Any = None

    def topics(self, wanted: Sequence[str]) -> dict[str, Topic]:
        """Give the topics of these names, and those that match patterns (which begin with ^).

        Raises:
            ConfigError: a topic that was named does not exist.
            AccessError, UnavailableError, RetryableError: as their names say.
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
            "kafka: looking for topic {}",
            "describe_topics",
            TopicCollection(names),
            request_timeout=self._timeout,
        )
        found = {}
        for name, about in answers.items():
            number = tuple(sorted(part.id for part in about.partitions))
            identity = str(about.topic_id)
            found[name] = Topic(name, "" if identity == _NO_ID else identity, number)
        return found

    def starts(self, parts: Iterable[Part]) -> dict[Part, int]:
        """Give the first offset that each partition still has."""
        from confluent_kafka.admin import OffsetSpec

        return self._offsets(dict.fromkeys(parts, OffsetSpec.earliest()))

    def ends(self, parts: Iterable[Part]) -> dict[Part, int]:
        """Give the offset behind the last record that can be read."""
        from confluent_kafka.admin import OffsetSpec

        return self._offsets(dict.fromkeys(parts, OffsetSpec.latest()))

    def at_time(self, parts: Iterable[Part], milliseconds: int) -> dict[Part, int]:
        """Give the first offset whose record is not older than a time, the end if there is none."""
        from confluent_kafka.admin import OffsetSpec

        parts = list(parts)
        found = self._offsets(dict.fromkeys(parts, OffsetSpec.for_timestamp(milliseconds)))
        later = self.ends(part for part in parts if found[part] < 0)
        return {**found, **later}

    def close(self) -> None:
        """Let go of the connection."""
        self._client = None

    def _all(self) -> list[str]:
        from confluent_kafka import KafkaException

        try:
            return list(self._admin().list_topics(timeout=self._timeout).topics)
        except KafkaException as error:
            raise self._explain(error, "kafka: asking the cluster for its topics") from error

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
            "kafka: asking for offsets of {}",
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
        """Call a method of the client that gives futures; wait for all their answers.

        Plans are not tried again by the engine, so what passes by itself (a partition that changes
        its leader) is waited for here.
        """
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetryableError),
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(_AGAIN_SECS),
            before_sleep=self._learn,
            reraise=True,
        )
        for attempt in trying:
            with attempt:
                answers = self._once(doing, name, *arguments, **options)
        self._troubles.clear()
        return answers

    def _learn(self, state: tenacity.RetryCallState) -> None:
        """Ask for all topics, by which the client learns of new leaders."""
        del state
        self._all()

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
        self._admin().poll(0)  # lets the client report why
        told = self._troubles.explain(error, doing, connecting=True)
        if isinstance(told, ConfigError):
            told.field = told.field or "topics"
            told.hint = "create the topic, or correct the name under `topics`"
        return told
