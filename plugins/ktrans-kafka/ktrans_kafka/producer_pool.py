"""The pool of the sink's producers, and the marks that show which tasks were committed.

The mark of a task is a committed offset of a consumer group without members. The group is named after
pipeline, sink, history and task; the offset is that of partition 0 of the task's first topic, and its
value is the epoch's number. It is part of the task's transaction, so it is committed if and only if the
rows are. (Apache Kafka KIP-98, "Exactly Once Delivery and Transactional Messaging": offsets in
transactions.)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ktrans.api import Context, KtransError, RetryableError, RunError, StageLostError, TaskId
from ktrans.kit.files.path_template import slug
from ktrans.kit.retry import Retry, with_retries
from ktrans_kafka.client import kafka
from ktrans_kafka.cluster import Admin
from ktrans_kafka.errors import may_pass, name_of
from ktrans_kafka.producer import Outcome, TaskProducer
from ktrans_kafka.sink_config import KafkaSinkConfig

_ANSWER_SECS = 5.0
_UNSTABLE_WAIT_SECS = 0.05
UNDECIDED = "kafka_mark_undecided"
"""Error code: a transaction that is still open may change the mark."""
_NO_MARK = ("GROUP_ID_NOT_FOUND", "UNKNOWN_TOPIC_OR_PART")


class EpochMarks:
    """Reads marks, and names the groups and transactional ids."""

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
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
        consumer = kafka.Consumer({"group.id": group, "logger": self._context.log})
        try:
            return consumer.consumer_group_metadata()
        finally:
            consumer.close()

    def read(self, group: str, topic: str, *, wait_secs: float | None = None) -> int:
        """Return the number of the last epoch that was committed; -1 if there is none.

        Waits while a transaction that may change the mark is open, by default for `connect_timeout`.
        The mark is expected at the topic; the group's other marks count as well.
        """
        wait = self._wait_secs if wait_secs is None else wait_secs
        retry = Retry(
            None, wait, first_wait_secs=_UNSTABLE_WAIT_SECS, max_wait_secs=_UNSTABLE_WAIT_SECS
        )
        # A listing of all marks omits pending ones, so ask for the expected one by name first.
        here = [kafka.TopicPartition(topic, 0)]
        stop = self.admin.stop_if_abandoned
        found = with_retries(lambda: self._fetch(group, here), retry, before_wait=stop)
        found += with_retries(lambda: self._fetch(group, None), retry, before_wait=stop)
        return max(found, default=-1)

    def _fetch(self, group: str, where: list[Any] | None) -> list[int]:
        doing = f"kafka: reading the mark of group {group}"
        wanted = [kafka.ConsumerGroupTopicPartitions(group, where)]
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


class ProducerPool:
    """Producers by task index.

    A task's transaction stays open until the epoch is committed, so tasks cannot share a producer.
    The transactional id depends on the task's index: after a crash, claiming the same id makes the
    broker abort what the dead process left open, and fences that process if it is still alive.
    """

    def __init__(self, config: KafkaSinkConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self.marks = EpochMarks(config, context)
        self._lock = threading.Lock()
        self._producers: dict[int, TaskProducer] = {}
        self._metadata: dict[str, Any] = {}

    @property
    def exactly_once(self) -> bool:
        """Whether there are transactions."""
        return self._config.delivery == "exactly_once"

    def take(self, task: TaskId, topic: str) -> tuple[TaskProducer, bool]:
        """Return the producer of a task, and whether the task was committed before."""
        producer = self._producer_of(task.index)
        if not self.exactly_once:
            return producer, False
        group = self.marks.group(task.epoch.history, task.index)
        try:
            if self._mark(producer, group, topic) >= task.epoch.number:
                return producer, True
            producer.begin()
        except KtransError:
            self._discard(task.index)
            raise
        return producer, False

    def seal(self, producer: TaskProducer, task: TaskId, topic: str) -> None:
        """Wait until a task's records and its mark are acknowledged."""
        if not self.exactly_once:
            producer.drain()
            return
        group = self.marks.group(task.epoch.history, task.index)
        if group not in self._metadata:
            self._metadata[group] = self.marks.metadata(group)
        mark = kafka.TopicPartition(topic, 0, task.epoch.number)
        producer.seal(mark, self._metadata[group])

    def drop(self, index: int) -> None:
        """Abort what a task wrote; keep its producer if it remains usable."""
        with self._lock:
            producer = self._producers.get(index)
        if producer is not None and (not self.exactly_once or not producer.abort()):
            self._discard(index)

    def drop_all(self) -> None:
        """Abort all transactions that are not committed."""
        busy = [index for index, each in self._producers.items() if each.state != "idle"]
        if busy:
            with ThreadPoolExecutor(len(busy), "kafka-abort") as threads:
                list(threads.map(self.drop, busy))

    def commit(self, staged: Mapping[str, Any]) -> None:
        """Commit the transaction of a receipt's data, unless it is committed already.

        Raises:
            StageLostError: it was aborted; the epoch must be processed again.
            RunError: another process took over.
            RetryableError: the broker does not answer.
        """
        index, number, topic = int(staged["task"]), int(staged["epoch"]), str(staged["topic"])
        group = self.marks.group(staged["history"], index)
        producer = self._producers.get(index)
        outcome: Outcome = "unknown"
        if producer is not None and producer.state == "sealed":
            outcome = producer.commit()
            if outcome == "committed":
                producer.marks[group] = number
        elif producer is not None and producer.marks.get(group, -1) >= number:
            outcome = "committed"
        if outcome in ("unknown", "fenced"):  # the mark shows whether it was committed
            self._discard(index)
        if outcome == "fenced":
            if not self._committed_by_other(group, topic, number):
                raise RunError(
                    "kafka: another process took over the transactions of this sink",
                    code="kafka_fenced",
                    hint="another run with the same pipeline name writes to this cluster: stop one"
                    " of them, or give them different names",
                )
        elif outcome == "aborted" or (
            outcome == "unknown" and self._mark(self._producer_of(index), group, topic) < number
        ):
            raise StageLostError(
                f"kafka: the transaction of task {index} of epoch {number} was aborted before its"
                " commit",
                hint="if this happens again, raise transaction_timeout or make epochs smaller by"
                " engine.epoch_size",
            )

    def _committed_by_other(self, group: str, topic: str, number: int) -> bool:
        try:
            return self.marks.read(group, topic, wait_secs=_ANSWER_SECS) >= number
        except RetryableError as error:
            if error.code == UNDECIDED:  # the other process is writing the same task
                return False
            raise

    def _mark(self, producer: TaskProducer, group: str, topic: str) -> int:
        """Return the mark of a task; it is read once for a new producer."""
        if group not in producer.marks:
            producer.recover()
            producer.marks[group] = self.marks.read(group, topic)
        return producer.marks[group]

    def _producer_of(self, index: int) -> TaskProducer:
        with self._lock:
            producer = self._producers.get(index)
        if producer is None:
            self.marks.admin.reach()
            name = self.marks.transactional_id(index) if self.exactly_once else None
            producer = TaskProducer(self._config, self._context, name)
            with self._lock:
                self._producers[index] = producer
        return producer

    def _discard(self, index: int) -> None:
        with self._lock:
            producer = self._producers.pop(index, None)
        if producer is not None:
            producer.close()
            self.marks.admin.close()  # a new producer gets new connections throughout

    def close(self) -> None:
        """Abort open transactions and release all producers."""
        with self._lock:
            producers = list(self._producers.values())
            self._producers.clear()
        if producers:  # at the same time: each may wait for a broker that does not answer
            with ThreadPoolExecutor(len(producers), "kafka-close") as threads:
                list(threads.map(TaskProducer.close, producers))
        self._metadata.clear()
        self.marks.admin.close()
