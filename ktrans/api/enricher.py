"""Enrichers: record batch in, record batch out."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from ktrans.api.component import C, Component

if TYPE_CHECKING:
    import pyarrow as pa

    from ktrans.api.sink import TaskId


class Enricher(Component[C], abc.ABC):
    """Adds, changes or removes columns, or removes rows.

    `bind` is static: it lets `validate` type the whole chain before any data moves, and its answer
    must be the schema of what `apply` returns.

    Attributes that the engine goes by, of the class or set by the constructor:
        drops_rows: it may remove rows; otherwise a batch that comes back shorter is a breach.
        changes_counters: it may change `bytes` and `packets` of the rows it keeps.
        scope: what has to be seen together and in order. "batch": nothing, apply is pure and runs
            in any thread. "task": batches of one task, in order. "epoch": the whole epoch, in
            order, so the engine makes one task of it.
    """

    drops_rows: bool = False
    changes_counters: bool = False
    scope: ClassVar[Literal["batch", "task", "epoch"]] = "batch"

    def needs(self) -> Sequence[str] | None:
        """Name the columns that it reads; None means all of them."""
        return None

    def adds(self) -> Sequence[str]:
        """Name the columns that it makes itself, so that nothing before it has to bring them."""
        return ()

    def keeps(self) -> Sequence[str] | None:
        """Name the only incoming columns that can come out; None means that all may.

        Lets the decoder leave out what a `select` throws away.
        """
        return None

    @abc.abstractmethod
    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the input schema and give the output schema.

        Called once before any `apply`; when the engine has pruned columns that nobody needs, the
        schema holds at least what `needs` names.

        Raises:
            ConfigError: a column is missing or has a type that does not fit.
        """

    @abc.abstractmethod
    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Work on one batch, by columns. Pure for scope "batch"."""

    def begin(self, task: TaskId) -> Enricher[C]:
        """Give the object that will see this task's batches, in order (scope "task" or "epoch").

        An attempt at a task that fails is begun anew: state must not leak from one to the next.
        """
        del task
        return self

    def finish(self) -> Iterable[pa.RecordBatch]:
        """Give rows held back until the task's end; called once on what `begin` returned."""
        return ()
