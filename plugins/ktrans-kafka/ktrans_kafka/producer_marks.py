"""The epoch's mark: shows after a crash whether a task's transaction was committed.

The mark is a committed offset of a consumer group without members. The group is named after pipeline,
sink, history and task; the offset is that of partition 0 of the task's first topic, and its value is
the epoch's number. It is part of the task's transaction, so it is committed if and only if the rows
are. (Apache Kafka KIP-98, "Exactly Once Delivery and Transactional Messaging": offsets in transactions.)
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ktrans.api import Context, RetryableError
from ktrans.kit.files.path_template import slug
from ktrans_kafka.client import ConnectionErrors, KafkaConfig, connection
from ktrans_kafka.errors import may_pass, name_of, translate

_UNSTABLE_WAIT_SECS = 0.05
_REQUEST_SECS = 15.0
_ANSWER_SECS = 1.0
UNDECIDED = "kafka_mark_undecided"
"""Error code: a transaction that is still open may change the mark."""
_NO_MARK = ("GROUP_ID_NOT_FOUND", "UNKNOWN_TOPIC_OR_PART")


class EpochMarks:
    """Reads marks, and names the groups and transactional ids."""

    def __init__(self, config: KafkaConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._prefix = f"ktrans.{slug(context.pipeline)}.{slug(context.name)}"
        self._connection_errors = ConnectionErrors()
        self._lock = threading.Lock()
        self._admin: Any = None

    @property
    def admin(self) -> Any:
        """The admin client, connected on first use."""
        with self._lock:
            if self._admin is None:
                import confluent_kafka
                from confluent_kafka.admin import AdminClient

                settings = connection(self._config, self._context)
                try:
                    self._admin = AdminClient(settings | {"error_cb": self._connection_errors})
                except confluent_kafka.KafkaException as error:
                    raise translate(error, "kafka: the options of librdkafka") from error
            return self._admin

    @property
    def connection_errors(self) -> ConnectionErrors:
        """The connection errors that the admin client reported."""
        return self._connection_errors

    def reach(self, *, connecting: bool = False) -> Any:
        """Wait for the cluster to answer, and return its metadata.

        Args:
            connecting: as in `translate`.

        Raises:
            KtransError: it cannot be reached, or refuses the login or certificate (raised at once).
        """
        import confluent_kafka

        deadline = time.monotonic() + self._config.connect_timeout
        while True:
            wait = max(0.1, min(_ANSWER_SECS, deadline - time.monotonic()))
            try:
                return self.admin.list_topics(timeout=wait)
            except confluent_kafka.KafkaException as error:
                self.admin.poll(0)
                refused = self._connection_errors.access is not None
                if may_pass(error) and not refused and time.monotonic() < deadline:
                    continue
                where = ", ".join(self._config.bootstrap_servers)
                raise self._connection_errors.explain(
                    error, f"kafka: reaching {where}", connecting=connecting
                ) from error

    def transactional_id(self, index: int | str) -> str:
        """Return the transactional id of a task, which is the same in all epochs and histories."""
        return f"{self._prefix}.{index}"

    def group(self, history: str, index: int | str) -> str:
        """Return the name of the group whose offset is the mark of a task."""
        return f"{self._prefix}.{history or '0'}.{index}"

    def metadata(self, group: str) -> Any:
        """Return the group's metadata for a transaction, without a connection."""
        import confluent_kafka

        consumer = confluent_kafka.Consumer({"group.id": group, "logger": self._context.log})
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

        Raises:
            KtransError: the mark cannot be read.
        """
        import confluent_kafka

        wait = self._config.connect_timeout if wait_secs is None else wait_secs
        here = [confluent_kafka.TopicPartition(topic, 0)]
        # A listing of all marks omits pending ones, so ask for the expected one by name first.
        found = [*self._fetch(group, here, wait), *self._fetch(group, None, wait)]
        return max((int(each.offset) for each in found), default=-1)

    def _fetch(self, group: str, where: list[Any] | None, wait_secs: float) -> list[Any]:
        import confluent_kafka

        deadline = time.monotonic() + wait_secs
        doing = f"kafka: reading the mark of group {group}"
        while True:
            wanted = confluent_kafka.ConsumerGroupTopicPartitions(group, where)
            try:
                answer = self.admin.list_consumer_group_offsets(
                    [wanted], require_stable=True, request_timeout=_REQUEST_SECS
                )
                found = answer[group].result(timeout=2 * _REQUEST_SECS).topic_partitions
            except confluent_kafka.KafkaException as error:
                if name_of(error) in _NO_MARK:
                    return []
                if not may_pass(error) or time.monotonic() > deadline:
                    raise self._connection_errors.explain(error, doing) from error
            else:
                errors = [each.error for each in found if each.error is not None]
                wrong = next((each for each in errors if name_of(each) not in _NO_MARK), None)
                if wrong is None:
                    return [each for each in found if each.offset >= 0]
                if not may_pass(wrong):
                    raise self._connection_errors.explain(wrong, doing)
                if time.monotonic() > deadline:
                    raise RetryableError(f"{doing}: {wrong.str()}", code=UNDECIDED)
            time.sleep(_UNSTABLE_WAIT_SECS)

    def close(self) -> None:
        """Release the admin client."""
        self._admin = None
