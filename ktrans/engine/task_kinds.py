"""What a task does of a pipeline: all of it, what comes before a merge, or the merge and the rest.

An epoch of several tasks, in a pipeline with an enricher of the scope "partials", is done in two
steps. Its tasks read, decode and enrich as far as that enricher, which makes a partial result of the
rows of each task. Then one more task, with the next number, merges these results, applies the
enrichers that follow, and writes to the sinks. Rejects are written by the task that finds them.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ktrans.api import Enricher, EpochContext, StatefulEnricher, TaskId
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.enricher_state import EnricherStates
from ktrans.engine.partials import Partials

Enrichers = list[Enricher[Any]]


class TaskKind(abc.ABC):
    """What a task does of a pipeline.

    Attributes:
        merge_at: the number of the enricher that several tasks share, see `Assembly.merge_at`; None
            if the task does all of the pipeline.
    """

    merge_at: int | None
    makes_partial: ClassVar[bool] = False
    """Whether it ends with the partial result of the enricher `merge_at`."""

    def first_ordered(self, assembly: Assembly) -> int:
        """Return the number of the first enricher that the task applies in the order of its rows."""
        scopes = [enricher.scope for _, enricher in assembly.enrichers]
        return next((at for at, scope in enumerate(scopes) if scope != "batch"), len(scopes))

    @abc.abstractmethod
    def begin(self, assembly: Assembly, task: TaskId) -> Enrichers:
        """Begin an attempt: return the enrichers that are applied in the order of the rows."""

    def sinks(self, assembly: Assembly) -> list[BoundSink]:
        """Return the sinks that the task writes to; the last one is that of the rejects."""
        return assembly.all_sinks()

    def partials(self) -> Iterator[bytes]:
        """Yield the partial results to merge, in the order of their tasks."""
        yield from ()


@dataclass
class WholeTask(TaskKind):
    """All of the pipeline."""

    states: EnricherStates
    merge_at: None = None

    def begin(self, assembly: Assembly, task: TaskId) -> Enrichers:
        """Begin an attempt with all ordered enrichers."""
        first = self.first_ordered(assembly)
        return [self.states.begin(enricher, task) for _, enricher in assembly.enrichers[first:]]


@dataclass
class PartialTask(TaskKind):
    """The pipeline as far as the partial result of the enricher `merge_at`; no state store is needed."""

    makes_partial: ClassVar[bool] = True
    merge_at: int
    facts: Any
    context: EpochContext

    def begin(self, assembly: Assembly, task: TaskId) -> Enrichers:
        """Begin an attempt with the ordered enrichers before the merge, and a part of that one."""
        first = self.first_ordered(assembly)
        ordered = [e.begin(task) for _, e in assembly.enrichers[first : self.merge_at]]
        merging = assembly.enrichers[self.merge_at][1]
        assert isinstance(merging, StatefulEnricher)
        return [*ordered, merging.part(task, self.facts, self.context)]

    def sinks(self, assembly: Assembly) -> list[BoundSink]:
        """Return the sink of the rejects."""
        return assembly.all_sinks()[-1:]


@dataclass
class MergeTask(TaskKind):
    """The merge of partial results, and the pipeline after it; no split is read."""

    merge_at: int
    states: EnricherStates
    results: Partials

    def first_ordered(self, assembly: Assembly) -> int:
        """Return the number of the enricher that merges."""
        del assembly
        return self.merge_at

    def begin(self, assembly: Assembly, task: TaskId) -> Enrichers:
        """Begin an attempt with the enricher that merges, and those after it."""
        enrichers = assembly.enrichers[self.merge_at :]
        return [self.states.begin(enricher, task) for _, enricher in enrichers]

    def partials(self) -> Iterator[bytes]:
        """Yield the partial results."""
        return self.results.read()
