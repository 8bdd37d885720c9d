"""The tasks of an epoch whose partial results are merged by one more task, after all of them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import msgspec

from ktrans.api import EpochId, StatefulEnricher, TaskId
from ktrans.engine.enricher_state import EnricherStates, stateful_enrichers
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.partials import Partials
from ktrans.engine.run_context import RunContext
from ktrans.engine.task import Task, TaskResult
from ktrans.engine.task_kinds import MergeTask, PartialTask, TaskKind, WholeTask
from ktrans.state.epochs import Epoch


class MergedTasks:
    """What the tasks of an epoch do, and the task that merges what they made.

    Attributes:
        kind: what each task of the epoch does: all of the pipeline if nothing is merged.
    """

    kind: TaskKind

    def __init__(
        self, context: RunContext, epoch: Epoch, number: EpochId, limits: EpochLimits
    ) -> None:
        self._context = context
        self._task: Task | None = None
        states = EnricherStates(context.store, context.assembly.pipeline.name, epoch)
        at = context.assembly.merge_at
        if at is None or len(epoch.tasks) <= 1:
            self.kind = WholeTask(states)
            return
        merging = context.assembly.enrichers[at][1]
        assert isinstance(merging, StatefulEnricher)
        last = TaskId(number, len(epoch.tasks))
        self.kind = PartialTask(at, states.resume(merging, last).facts(), states.context)
        self._partials = Partials()
        self._task = Task(context, epoch, last, limits, MergeTask(at, states, self._partials))

    @property
    def here(self) -> bool:
        """Whether the tasks need the state store, so that only this process can do them."""
        whole = isinstance(self.kind, WholeTask)
        return whole and bool(stateful_enrichers(self._context.assembly.enrichers))

    def keep(self, index: int, result: TaskResult) -> TaskResult:
        """Keep the partial result of a task for the merge, and return the rest of the result.

        Raises:
            RunError: the disk does not take it.
        """
        if result.partial is None:
            return result
        self._partials.keep(index, result.partial)
        return msgspec.structs.replace(result, partial=None)

    def finish(self) -> list[TaskResult]:
        """Merge, if partial results are to be merged; return the results of further tasks."""
        return [] if self._task is None else [self._task.run()]

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the partial results."""
        if self._task is not None:
            self._partials.close()
