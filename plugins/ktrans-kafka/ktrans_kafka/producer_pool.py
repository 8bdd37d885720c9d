"""The pool of the sink's producers: one per task of an epoch, reused by later epochs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ktrans.api import Context, KtransError, RetryableError, RunError, StageLostError, TaskId
from ktrans_kafka.producer import Outcome, TaskProducer
from ktrans_kafka.producer_marks import UNDECIDED, EpochMarks
from ktrans_kafka.sink_config import KafkaSinkConfig

_ANSWER_SECS = 5.0


class ProducerPool:
    """Producers by task index.

    A task's transaction stays open until the epoch is committed, so tasks cannot share a producer.
    The transactional id depends on the task's index: after a crash, claiming the same id makes the
    broker abort what the dead process left open, and fences that process if it is still alive.
    """

    def __init__(self, config: KafkaSinkConfig, context: Context, marks: EpochMarks) -> None:
        self._config = config
        self._context = context
        self._marks = marks
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
        group = self._marks.group(task.epoch.history, task.index)
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
        import confluent_kafka

        if not self.exactly_once:
            producer.drain()
            return
        group = self._marks.group(task.epoch.history, task.index)
        if group not in self._metadata:
            self._metadata[group] = self._marks.metadata(group)
        mark = confluent_kafka.TopicPartition(topic, 0, task.epoch.number)
        producer.seal(mark, self._metadata[group])

    def drop(self, index: int) -> None:
        """Abort what a task wrote; keep its producer if it remains usable."""
        with self._lock:
            producer = self._producers.get(index)
        if producer is not None and (not self.exactly_once or not producer.abort()):
            self._discard(index)

    def drop_all(self) -> None:
        """Abort all transactions that are not committed."""
        for index in list(self._producers):
            if self._producers[index].state != "idle":
                self.drop(index)

    def commit(self, staged: Mapping[str, Any]) -> None:
        """Commit a task's transaction, unless it is committed already.

        Args:
            staged: the receipt's data: task, epoch, history and topic.

        Raises:
            StageLostError: it was aborted; the epoch must be processed again.
            RunError: another process took over.
            RetryableError: the broker does not answer.
        """
        index, number, topic = int(staged["task"]), int(staged["epoch"]), str(staged["topic"])
        group = self._marks.group(staged["history"], index)
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
            return self._marks.read(group, topic, wait_secs=_ANSWER_SECS) >= number
        except RetryableError as error:
            if error.code == UNDECIDED:  # the other process is writing the same task
                return False
            raise

    def _mark(self, producer: TaskProducer, group: str, topic: str) -> int:
        """Return the mark of a task; it is read once for a new producer."""
        if group not in producer.marks:
            producer.recover()
            producer.marks[group] = self._marks.read(group, topic)
        return producer.marks[group]

    def _producer_of(self, index: int) -> TaskProducer:
        with self._lock:
            producer = self._producers.get(index)
        if producer is None:
            self._marks.admin.reach()
            name = self._marks.transactional_id(index) if self.exactly_once else None
            producer = TaskProducer(self._config, self._context, name)
            with self._lock:
                self._producers[index] = producer
        return producer

    def _discard(self, index: int) -> None:
        with self._lock:
            producer = self._producers.pop(index, None)
        if producer is not None:
            producer.close()

    def close(self) -> None:
        """Abort open transactions and release all producers."""
        for index in list(self._producers):
            self._discard(index)
        self._metadata.clear()
