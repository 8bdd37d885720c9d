"""The epoch's mark: what tells, after a crash, whether a task's transaction was committed.

The mark is a committed offset: of a consumer group that nobody is a member of, named after
pipeline, sink, history and task, on partition 0 of the task's first topic; its value is the epoch's
number. It is sent inside the task's transaction, so it is there exactly if the rows are. (Apache
Kafka KIP-98, "Exactly Once Delivery and Transactional Messaging": offsets in transactions.)
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ktrans.api import Context, RetryableError
from ktrans.kit.files.path_template import slug
from ktrans_kafka.client import KafkaOptions, Troubles, connection
from ktrans_kafka.errors import may_pass, name_of, translate

_UNSTABLE_WAIT_SECS = 0.05
_REQUEST_SECS = 15.0
_PATIENCE_SECS = 1.0
UNDECIDED = "kafka_mark_undecided"
"""Code of the error for a mark that a transaction still under way may change."""
_NO_MARK = ("GROUP_ID_NOT_FOUND", "UNKNOWN_TOPIC_OR_PART")


class Marks:
    """Reads marks, and makes what is needed to write them."""

    def __init__(self, config: KafkaOptions, context: Context) -> None:
        self._config = config
        self._context = context
        self._prefix = f"ktrans.{slug(context.pipeline)}.{slug(context.name)}"
        self._troubles = Troubles()
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
                    self._admin = AdminClient(settings | {"error_cb": self._troubles})
                except confluent_kafka.KafkaException as error:
                    raise translate(error, "kafka: the options of librdkafka") from error
            return self._admin

    @property
    def troubles(self) -> Troubles:
        """What the admin client reported of its connections."""
        return self._troubles

    def reach(self, *, connecting: bool = False) -> Any:
        """Have the cluster answer, and give what it says about itself and all topics.

        Args:
            connecting: as in `translate`.

        Raises:
            KtransError: it cannot be reached, or refuses the login or certificate; that at once.
        """
        import confluent_kafka

        deadline = time.monotonic() + self._config.connect_timeout
        while True:
            wait = max(0.1, min(_PATIENCE_SECS, deadline - time.monotonic()))
            try:
                return self.admin.list_topics(timeout=wait)
            except confluent_kafka.KafkaException as error:
                self.admin.poll(0)
                refused = self._troubles.access is not None
                if may_pass(error) and not refused and time.monotonic() < deadline:
                    continue
                where = ", ".join(self._config.bootstrap_servers)
                raise self._troubles.explain(
                    error, f"kafka: reaching {where}", connecting=connecting
                ) from error

    def transactional_id(self, index: int | str) -> str:
        """Name the transactions of a task: the same in every epoch and history."""
        return f"{self._prefix}.{index}"

    def group(self, history: str, index: int | str) -> str:
        """Name the group whose offset is the mark of a task."""
        return f"{self._prefix}.{history or '0'}.{index}"

    def metadata(self, group: str) -> Any:
        """Give the group in the form that a transaction takes; connects to nothing."""
        import confluent_kafka

        consumer = confluent_kafka.Consumer({"group.id": group, "logger": self._context.log})
        try:
            return consumer.consumer_group_metadata()
        finally:
            consumer.close()

    def read(self, group: str, topic: str, *, wait_secs: float | None = None) -> int:
        """Read a mark, waiting while a transaction that may change it is being decided.

        Args:
            group: by `group`.
            topic: where the mark would be; the group's other marks count as well.
            wait_secs: how long to wait for the decision; by default `connect_timeout`.

        Returns:
            The number of the last epoch that was committed; -1 if there is none.

        Raises:
            KtransError: the mark cannot be read; the last resort is to try the run again.
        """
        import confluent_kafka

        wait = self._config.connect_timeout if wait_secs is None else wait_secs
        here = [confluent_kafka.TopicPartition(topic, 0)]
        # A listing of all marks leaves out one that is only pending: the expected place is asked
        # for by name, and first.
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
                    raise self._troubles.explain(error, doing) from error
            else:
                errors = [each.error for each in found if each.error is not None]
                wrong = next((each for each in errors if name_of(each) not in _NO_MARK), None)
                if wrong is None:
                    return [each for each in found if each.offset >= 0]
                if not may_pass(wrong):
                    raise self._troubles.explain(wrong, doing)
                if time.monotonic() > deadline:
                    raise RetryableError(f"{doing}: {wrong.str()}", code=UNDECIDED)
            time.sleep(_UNSTABLE_WAIT_SECS)

    def close(self) -> None:
        """Let go of the admin client."""
        self._admin = None
