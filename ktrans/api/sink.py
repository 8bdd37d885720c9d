"""Sinks: where rows end up, staged by task and published by epoch."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ktrans.api.component import C, Component
from ktrans.api.spec import Delivery

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class EpochId:
    """The tasks between two commits, by number, within a pipeline's history. Starts at 1.

    `history` is drawn when a state store first sees the pipeline. Numbers begin anew after a reset,
    or beside another store; the history keeps such epochs from being taken for one another.
    """

    pipeline: str
    number: int
    history: str = ""

    def __str__(self) -> str:
        """Give a text that sorts as the number does and fits a file name."""
        return f"{self.history}-{self.number:08d}" if self.history else f"{self.number:08d}"


@dataclass(frozen=True, slots=True)
class TaskId:
    """One task of an epoch. What a task writes is named by this, so a rerun writes the same names."""

    epoch: EpochId
    index: int

    def __str__(self) -> str:
        """Give a text that sorts as the numbers do and fits a file name."""
        return f"{self.epoch}-{self.index:04d}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a writer has durably staged (or written): the promise that `commit` keeps.

    Attributes:
        rows: rows written, counted by the writer from what it wrote; the ledger compares it.
        bytes: size of what was written.
        data: JSON that `commit` needs; must be enough on its own, after a crash, in a new process.
        outputs: names of what was written, for people.
    """

    rows: int
    bytes: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the form that the state store keeps."""
        return {
            "rows": self.rows,
            "bytes": self.bytes,
            "data": dict(self.data),
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Receipt:
        """Rebuild a receipt from `to_json`."""
        return cls(value["rows"], value["bytes"], value["data"], tuple(value["outputs"]))


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that the other side will never take, whatever is tried.

    Attributes:
        rows: as they were given to `Writer.encode`.
        reason: a stable snake_case code, such as `record_too_large`.
        detail: the same for people, with the other side's words and figures.
    """

    rows: pa.RecordBatch
    reason: str
    detail: str


class Writer(abc.ABC):
    """Writes the rows of one task to one sink.

    `encode` may be called from several threads at once; the other methods come from one thread at
    a time, and `write` gets the batches in the task's order.
    """

    def encode(self, batch: pa.RecordBatch) -> Any:
        """Do the part of writing that needs no order. Pure."""
        return batch

    @abc.abstractmethod
    def write(self, encoded: Any) -> None:
        """Take what `encode` gave."""

    @abc.abstractmethod
    def finish(self) -> Receipt:
        """Make everything durable but not yet visible, and say what there is."""

    def refused(self) -> Sequence[Refused]:
        """Give the rows that were not written and never will be; asked once, after `finish`.

        They go to the pipeline's rejects and stand in the ledger; the receipt leaves them out.
        """
        return ()

    @abc.abstractmethod
    def abort(self) -> None:
        """Undo: leave nothing behind. Safe after any failure, and after `finish`."""


class Sink(Component[C], abc.ABC):
    """Where rows end up.

    Life of an epoch: `prepare`, then a writer a task, then `commit` with all receipts. A run that
    was killed comes back with the same epoch id and the same tasks, and calls `prepare` again; or,
    if all receipts were recorded before it died, only `commit`.

    Attributes:
        upserts: a row takes the place of an earlier one with the same key, so that totals which
            change can be written again and again. Of the class, or set by the constructor.
    """

    upserts: bool = False

    @property
    def delivery(self) -> Delivery | None:
        """What survives a crash with these options, if they make it less than its Spec says."""
        return None

    def needs(self) -> Sequence[str] | None:
        """Name the columns that it reads; None means all of them."""
        return None

    @abc.abstractmethod
    def bind(self, schema: pa.Schema) -> None:
        """Learn the schema of the rows to come, once, before any writer.

        Raises:
            ConfigError: a column is missing, or has a type that the sink cannot store.
        """

    def sample(self, rows: pa.Table) -> None:
        """Look at some of the rows to come (`validate --connect`); override it to be asked.

        Raises:
            ConfigError: rows like these would do the other side no good.
        """

    def prepare(self, epoch: EpochId) -> None:
        """Remove what a lost attempt at this epoch left behind. Idempotent."""

    @abc.abstractmethod
    def writer(self, task: TaskId) -> Writer:
        """Give a writer for one attempt at a task; an earlier attempt at it has been aborted."""

    @abc.abstractmethod
    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Make the epoch's rows visible, all of them. Idempotent: doing it twice changes nothing.

        Raises:
            StageLostError: what a receipt promises is neither staged nor published.
        """
