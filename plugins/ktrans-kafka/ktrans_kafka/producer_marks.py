"""The epoch's mark: shows after a crash whether a task's transaction was committed.

The mark is a committed offset of a consumer group without members. The group is named after pipeline,
sink, history and task; the offset is that of partition 0 of the task's first topic, and its value is
the epoch's number. It is part of the task's transaction, so it is committed if and only if the rows
are. (Apache Kafka KIP-98, "Exactly Once Delivery and Transactional Messaging": offsets in transactions.)
"""

from __future__ import annotations

from typing import Any

from ktrans.api import Context, KtransError, RetryableError
from ktrans.kit.files.path_template import slug
from ktrans.kit.retry import Retry, with_retries
from ktrans_kafka.client import KafkaConfig
from ktrans_kafka.cluster import Admin
from ktrans_kafka.errors import may_pass, name_of

_UNSTABLE_WAIT_SECS = 0.05
UNDECIDED = "kafka_mark_undecided"
"""Error code: a transaction that is still open may change the mark."""
_NO_MARK = ("GROUP_ID_NOT_FOUND", "UNKNOWN_TOPIC_OR_PART")


class EpochMarks:
    """Reads marks, and names the groups and transactional ids."""

    def __init__(self, config: KafkaConfig, context: Context) -> None:
        self._context = context
        self._wait_secs = config.connect_timeout
        self._prefix = f"ktrans.{slug(context.pipeline)}.{slug(context.name)}"
        self.admin = Admin(config, context)

    def transactional_id(self, index: int | str) -> str:
        """Return the transactional id of a task, which is the same in all epochs and histories."""
        return f"{self._prefix}.{index}"

    def group(self, history: str, index: int | str) -> str:
        """Return the name of the group whose offset is the mark of a task."""
        return f"{self._prefix}.{history or '0'}.{index}"

    def metadata(self, group: str) -> Any:
        """Return the group's metadata for a transaction, without a connection."""
        from confluent_kafka import Consumer

        consumer = Consumer({"group.id": group, "logger": self._context.log})
        try:
            return consumer.consumer_group_metadata()
        finally:
            consumer.close()

    def read(self, group: str, topic: str, *, wait_secs: float | None = None) -> int:
        """Read a mark; wait while a transaction that may change it is open.

        Args:
            group: from `group`.
            topic: the expected topic of the mark; the group's other marks count as well.
            wait_secs: how long to wait for the transaction; by default `connect_timeout`.

        Returns:
            The number of the last epoch that was committed; -1 if there is none.
        """
        from confluent_kafka import TopicPartition

        wait = self._wait_secs if wait_secs is None else wait_secs
        retry = Retry(
            None, wait, first_wait_secs=_UNSTABLE_WAIT_SECS, max_wait_secs=_UNSTABLE_WAIT_SECS
        )
        # A listing of all marks omits pending ones, so ask for the expected one by name first.
        here = [TopicPartition(topic, 0)]
        found = with_retries(lambda: self._fetch(group, here), retry)
        found += with_retries(lambda: self._fetch(group, None), retry)
        return max(found, default=-1)

    def _fetch(self, group: str, where: list[Any] | None) -> list[int]:
        from confluent_kafka import ConsumerGroupTopicPartitions

        doing = f"kafka: reading the mark of group {group}"
        wanted = [ConsumerGroupTopicPartitions(group, where)]
        try:
            answers = self.admin.ask_once(
                doing, "list_consumer_group_offsets", wanted, require_stable=True
            )
        except KtransError as error:
            if name_of(error.__cause__) in _NO_MARK:
                return []
            raise
        found = answers[group].topic_partitions
        for wrong in (each.error for each in found if each.error is not None):
            if name_of(wrong) in _NO_MARK:
                continue
            if may_pass(wrong):
                raise RetryableError(f"{doing}: {wrong.str()}", code=UNDECIDED)
            raise self.admin.errors.explain(wrong, doing)
        return [int(each.offset) for each in found if each.offset >= 0]
