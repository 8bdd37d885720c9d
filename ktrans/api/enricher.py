"""Enrichers take a record batch and return a record batch.

>>> import pyarrow as pa
>>> import pyarrow.compute as pc
>>> from ktrans.api import ComponentConfig, Enricher
>>> class BitsEnricher(Enricher[ComponentConfig]):
...     def needs(self):
...         return ["bytes"]
...     def adds(self):
...         return ["bits"]
...     def bind(self, schema):
...         return schema.append(pa.field("bits", pa.int64()))
...     def apply(self, batch):
...         return batch.append_column("bits", pc.multiply(batch["bytes"], 8))
>>> enricher = BitsEnricher(ComponentConfig(type="bits"))
>>> enricher.apply(pa.record_batch({"bytes": [100, None]}))["bits"].to_pylist()
[800, None]
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from ktrans.api.component import C, Component, Reach
from ktrans.api.sink import TaskId

if TYPE_CHECKING:
    import pyarrow as pa


Scope = Literal["batch", "task", "partials", "epoch"]
"""What an enricher has to see together, see `Enricher`."""


class Enricher(Component[C], abc.ABC):
    """Adds, changes or removes columns, or removes rows.

    Attributes (of the class, or set by the constructor):
        drops_rows: it may remove rows; otherwise a shorter batch is an error.
        changes_counters: it may change `bytes` and `packets` of the rows it keeps.
        scope: what must be seen together and in order. "batch": nothing, `apply` is pure and runs
            in any thread. "task": the batches of one task. "partials": the whole epoch, but each of
            its tasks makes a partial result, and these are merged (`StatefulEnricher`). "epoch": the
            whole epoch, which becomes one task.
    """

    drops_rows: bool = False
    changes_counters: bool = False
    scope: ClassVar[Scope] = "batch"

    @property
    def runs(self) -> Reach:
        """Where `apply` may be called, on another instance with the same config.

        A class says `runs = "here"`, or overrides this where it depends on options. Files that are the
        value of an option need no mention: the engine compares their content.
        """
        return "anywhere"

    def needs(self) -> Sequence[str] | None:
        """Return the columns that it reads; None means all."""
        return None

    def adds(self) -> Sequence[str]:
        """Return the columns that it creates, which nothing before it has to provide."""
        return ()

    def keeps(self) -> Sequence[str] | None:
        """Return the only input columns that can be in the output; None means any.

        The decoder then skips what a `select` removes.
        """
        return None

    @abc.abstractmethod
    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the input schema and return the exact schema of the output.

        Called once before any `apply`. Columns that nobody needs may have been removed; those that
        `needs` returns are there.

        Raises:
            ConfigError: a column is missing or has the wrong type.
        """

    @abc.abstractmethod
    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Process one batch, by columns. Pure for scope "batch"."""

    def begin(self, task: TaskId) -> Enricher[C]:
        """Return the object for this task's batches, in order (any scope but "batch").

        Called anew for each attempt: no state may leak from a failed one.
        """
        del task
        return self

    def finish(self) -> Iterable[pa.RecordBatch]:
        """Return rows held back until the task's end; called once on what `begin` returned."""
        return ()
