"""The sink's producers: one for each task of an epoch, kept from epoch to epoch."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ktrans.api import Context, KtransError, RetryableError, RunError, StageLostError, TaskId
from ktrans_kafka.producer import Lane, Outcome
from ktrans_kafka.producer_mark import UNDECIDED, Marks
from ktrans_kafka.sink_config import KafkaSinkConfig

_PATIENCE_SECS = 5.0


class Fleet:
    """Lanes by task index.

    A task's transaction stays open until the epoch is committed, so tasks cannot share a producer.
    Its transactional id is that of its index: whoever comes after a crash with the same id has the
    broker abort what the dead process left open, and shuts it out should it be alive after all.
    """

    def __init__(self, config: KafkaSinkConfig, context: Context, marks: Marks) -> None:
        self._config = config
        self._context = context
        self._marks = marks
        self._lock = threading.Lock()
        self._lanes: dict[int, Lane] = {}
        self._metadata: dict[str, Any] = {}

    @property
    def exactly_once(self) -> bool:
        """Whether there are transactions."""
        return self._config.delivery == "exactly_once"

    def take(self, task: TaskId, topic: str) -> tuple[Lane, bool]:
        """Give the lane of a task, and whether the task was committed before.

        Args:
            task: whose rows are to be written.
            topic: where its first row goes.

        Raises:
            KtransError: the broker cannot be reached, or refuses.
        """
        lane = self._lane(task.index)
        if not self.exactly_once:
            return lane, False
        try:
            if self._mark(lane, task.epoch.history, task.index, topic) >= task.epoch.number:
                return lane, True
            lane.begin()
        except KtransError:
            self._discard(task.index)
            raise
        return lane, False

    def seal(self, lane: Lane, task: TaskId, topic: str) -> None:
        """Have a task's records durable, and its mark with them."""
        import confluent_kafka

        if not self.exactly_once:
            lane.drain()
            return
        group = self._marks.group(task.epoch.history, task.index)
        if group not in self._metadata:
            self._metadata[group] = self._marks.metadata(group)
        mark = confluent_kafka.TopicPartition(topic, 0, task.epoch.number)
        lane.seal(mark, self._metadata[group])

    def drop(self, index: int) -> None:
        """Abort what a task wrote; its producer is kept if it is still of use."""
        with self._lock:
            lane = self._lanes.get(index)
        if lane is not None and (not self.exactly_once or not lane.abort()):
            self._discard(index)

    def drop_all(self) -> None:
        """Abort everything that is not committed."""
        for index in list(self._lanes):
            if self._lanes[index].state != "idle":
                self.drop(index)

    def commit(self, staged: Mapping[str, Any]) -> None:
        """Commit a task's transaction, or make sure that it is.

        Args:
            staged: the receipt's data: task, epoch, history and topic.

        Raises:
            StageLostError: it was aborted; the epoch must be processed again.
            RunError: another process took over.
            RetryableError: the broker does not answer.
        """
        index, number = int(staged["task"]), int(staged["epoch"])
        group = self._marks.group(staged["history"], index)
        lane = self._lanes.get(index)
        outcome: Outcome = "unknown"
        if lane is not None and lane.state == "sealed":
            outcome = lane.commit()
            if outcome == "committed":
                lane.marks[group] = number
                return
        elif lane is not None and lane.marks.get(group, -1) >= number:
            return
        if outcome != "aborted":
            self._settle(staged, index, group, outcome)
            return
        raise _lost(index, number)

    def _settle(self, staged: Mapping[str, Any], index: int, group: str, outcome: Outcome) -> None:
        """Decide by the mark, when the commit was fenced, has no known end, or is another run's."""
        number, topic = int(staged["epoch"]), str(staged["topic"])
        if outcome == "fenced":
            self._discard(index)
            if self._committed_by_other(group, topic, number):
                return
            raise RunError(
                "kafka: another process took over the transactions of this sink",
                code="kafka_fenced",
                hint="another run with the same pipeline name writes to this cluster: stop one of"
                " them, or give them different names",
            )
        self._discard(index)
        lane = self._lane(index)
        if self._mark(lane, staged["history"], index, topic) < number:
            raise _lost(index, number)

    def _committed_by_other(self, group: str, topic: str, number: int) -> bool:
        try:
            return self._marks.read(group, topic, wait_secs=_PATIENCE_SECS) >= number
        except RetryableError as error:
            if error.code == UNDECIDED:  # the other process is in the middle of the same task
                return False
            raise

    def _mark(self, lane: Lane, history: str, index: int, topic: str) -> int:
        """Give the mark of a task: read once, when its lane is new, and known from then on."""
        group = self._marks.group(history, index)
        if group not in lane.marks:
            lane.recover()
            lane.marks[group] = self._marks.read(group, topic)
        return lane.marks[group]

    def _lane(self, index: int) -> Lane:
        with self._lock:
            lane = self._lanes.get(index)
        if lane is None:
            self._marks.reach()
            name = self._marks.transactional_id(index) if self.exactly_once else None
            lane = Lane(self._config, self._context, name)
            with self._lock:
                self._lanes[index] = lane
        return lane

    def _discard(self, index: int) -> None:
        with self._lock:
            lane = self._lanes.pop(index, None)
        if lane is not None:
            lane.close()

    def close(self) -> None:
        """Abort what is open and let go of all producers."""
        for index in list(self._lanes):
            self._discard(index)
        self._metadata.clear()


def _lost(index: int, number: int) -> KtransError:
    return StageLostError(
        f"kafka: the transaction of task {index} of epoch {number} was aborted before its commit",
        hint="if this comes again, raise transaction_timeout or make epochs smaller by"
        " engine.epoch_size",
    )
