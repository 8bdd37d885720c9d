"""Sinks write rows: a writer stages the rows of a task, `commit` publishes an epoch.

>>> import pyarrow as pa
>>> from ktrans.api import ComponentConfig, EpochId, Receipt, Sink, TaskId, Writer
>>> class CountWriter(Writer):
...     rows = 0
...     def write(self, encoded):
...         self.rows += encoded.num_rows
...     def finish(self):
...         return Receipt(rows=self.rows)
...     def abort(self):
...         self.rows = 0
>>> class CountSink(Sink[ComponentConfig]):
...     def bind(self, schema):
...         pass
...     def writer(self, task):
...         return CountWriter()
...     def commit(self, epoch, receipts):
...         print(epoch, sum(receipt.rows for receipt in receipts), "rows")
>>> sink, epoch = CountSink(ComponentConfig(type="count")), EpochId("flows", 1)
>>> writer = sink.writer(TaskId(epoch, 0))
>>> writer.write(writer.encode(pa.record_batch({"bytes": [1, 2]})))
>>> sink.commit(epoch, [writer.finish()])
00000001 2 rows
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ktrans.api.component import C, Component, Reach
from ktrans.api.spec import DeliveryGuarantee

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class EpochId:
    """The tasks between two commits. Numbers start at 1.

    `history` is a random text, drawn when a state store first sees the pipeline: it distinguishes
    epochs of the same number after a reset, or of another store. An epoch is `decided` if all of it was
    staged once, so that sinks may have published a part of it.
    """

    pipeline: str
    number: int
    history: str = ""
    decided: bool = field(default=False, compare=False, repr=False)

    def __str__(self) -> str:
        """Return a text that sorts by number and fits a file name."""
        return f"{self.history}-{self.number:08d}" if self.history else f"{self.number:08d}"


@dataclass(frozen=True, slots=True)
class TaskId:
    """One task of an epoch. A task names its output by this, so a rerun writes the same names."""

    epoch: EpochId
    index: int

    def __str__(self) -> str:
        """Return a text that sorts by the numbers and fits a file name."""
        return f"{self.epoch}-{self.index:04d}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a writer has durably staged (or written), and `commit` will publish.

    Attributes:
        rows: rows written, counted by the writer from what it wrote; checked by the ledger.
        bytes: size of what was written.
        data: JSON that `commit` needs; sufficient on its own, after a crash, in a new process.
        outputs: names of what was written, for people: files, or the URI of a topic or a table; none
            of what is only staged.
    """

    rows: int
    bytes: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that the state store keeps."""
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
    """Rows that the destination will never accept.

    Attributes:
        rows: as they were passed to `Writer.encode`.
        reason: a stable snake_case code, such as `record_too_large`.
        detail: the same for people, with the destination's own message.
    """

    rows: pa.RecordBatch
    reason: str
    detail: str


class Writer(abc.ABC):
    """Writes the rows of one task to one sink.

    `encode` may be called from several threads at once; the other methods are called from one
    thread at a time, and `write` gets the batches in the task's order.
    """

    def encode(self, batch: pa.RecordBatch) -> Any:
        """Do the part of writing that needs no order. Pure.

        Raises:
            RowsError: some rows can never be written; the others are passed again without them.
        """
        return batch

    @abc.abstractmethod
    def write(self, encoded: Any) -> None:
        """Write what `encode` returned."""

    @abc.abstractmethod
    def finish(self) -> Receipt:
        """Make everything durable but not yet visible."""

    def refused(self) -> Sequence[Refused]:
        """Return the rows that were not written and never will be; called once, after `finish`.

        They go to the pipeline's rejects; the receipt does not count them.
        """
        return ()

    @abc.abstractmethod
    def abort(self) -> None:
        """Remove all that was written. Safe after any failure, and after `finish`."""


class Sink(Component[C], abc.ABC):
    """Writes rows somewhere.

    For each epoch: `prepare`, a writer for each task, `commit` with all receipts. After a crash the
    same epoch and tasks come again, from `prepare` on; or only `commit`, if all receipts had been
    recorded.

    Attributes:
        upserts: a row replaces an earlier one with the same key, so that changing totals can be
            written repeatedly. Of the class, or set by the constructor.
        recognises: rows that were committed are recognised or replaced if their epoch is processed again,
            because another sink has lost what it had staged. Otherwise what was staged the first time is
            committed, and is staged anew only if it is lost.
    """

    upserts: bool = False
    recognises: bool = True

    @property
    def stages(self) -> Reach:
        """Where writers may work, of another instance with the same config.

        A class says `stages = "anywhere"`, or overrides this where it depends on options. It may if the
        receipt has all that `commit` needs, and if no limit or cache has to see all tasks.
        """
        return "here"

    @property
    def delivery(self) -> DeliveryGuarantee | None:
        """The guarantee with these options, if it is weaker than the Spec's."""
        return None

    def needs(self) -> Sequence[str] | None:
        """Return the columns that it reads; None means all."""
        return None

    @abc.abstractmethod
    def bind(self, schema: pa.Schema) -> None:
        """Take the schema of the rows to come, once, before any writer.

        Raises:
            ConfigError: a column is missing, or has a type that the sink cannot store.
        """

    def sample(self, rows: pa.Table) -> None:
        """Check some of the rows to come (`validate --connect`); called only if overridden.

        Raises:
            ConfigError: the destination cannot use rows like these.
        """

    def prepare(self, epoch: EpochId) -> None:
        """Remove what attempts at this epoch and at earlier ones left behind. Idempotent."""

    def published(self) -> Iterator[str]:
        """Yield the names of what this sink of this pipeline has published, if names tell.

        The engine asks once, when a state store does not know the pipeline.
        """
        return iter(())

    @abc.abstractmethod
    def writer(self, task: TaskId) -> Writer:
        """Return a writer for one attempt at a task.

        If the sink `stages` elsewhere, another attempt at the same task may be writing at the same
        time, in this or another process. Neither overwrites nor removes what the other has staged,
        and `commit` publishes only what the receipts name, under names that depend on the task alone.
        """

    @abc.abstractmethod
    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Make all of the epoch's rows visible. Idempotent.

        Raises:
            StageLostError: what a receipt names is neither staged nor published.
        """

    @property
    def withdraws(self) -> bool:
        """Whether it can `withdraw` what it has published: with these options, if it overrides that."""
        return type(self).withdraw is not Sink.withdraw

    def withdraw(self, epochs: Sequence[EpochId]) -> int:  # noqa: ARG002 - of those that override
        """Remove what these epochs have published, because it is read again. Idempotent.

        Only sinks that can do this override it. Returns how many outputs were removed.
        """
        return 0
