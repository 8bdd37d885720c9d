"""The base of enrichers that must see many rows together before any can be passed on."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Self, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, Context, Enricher, Scope, TaskId
from ktrans.enrichers.held_rows.spill import Hold
from ktrans.kit.columns import distinct, plain_integers
from ktrans.kit.units import Size


class HeldConfig(ComponentConfig):
    """Options of enrichers that hold rows back."""

    max_rows: int = Field(
        2_000_000,
        ge=1,
        description=(
            "How many rows are looked at together, about 220 bytes of memory each. An epoch with "
            "more is worked through in runs of so many rows, as they come; rows on two sides of "
            "such a cut are not compared."
        ),
        examples=[10_000_000],
    )
    memory: Size = Field(
        256 << 20,
        ge=0,
        description="Rows held back take this much memory; the rest waits in a temporary file.",
        examples=[1_073_741_824],
    )
    spill_folder: str | None = Field(
        None,
        min_length=1,
        description="Folder for that file; the system's temporary folder by default.",
        examples=["scratch"],
    )


H = TypeVar("H", bound=HeldConfig)
Decision = TypeVar("Decision")


class HeldEnricher(Enricher[H], abc.ABC):
    """Holds rows back until a run is complete, decides, and passes them on in their order.

    What comes out depends on the rows and their order, never on how they are cut into batches.
    """

    drops_rows = True
    scope: ClassVar[Scope] = "epoch"
    _schema: pa.Schema

    def __init__(self, config: H, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._rows = 0
        self._hold = self._new_hold()
        self._ready: deque[Iterator[pa.RecordBatch]] = deque()

    def _new_hold(self) -> Hold:
        folder = self.config.spill_folder
        return Hold(self.config.memory, self.context.path(folder) if folder else None)

    def begin(self, task: TaskId) -> Self:
        """Return an enricher without state."""
        del task
        fresh = type(self)(self.config, self.context)
        fresh.bind(self._schema)
        return fresh

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Hold the batch back; return one of an earlier run, if there is one."""
        while batch.num_rows:
            part = batch.slice(0, self.config.max_rows - self._rows)
            batch = batch.slice(part.num_rows)
            self._collect(part, self._rows)
            self._hold.add(part)
            self._rows += part.num_rows
            if self._rows == self.config.max_rows:
                self._close_run()
        released = next(self._released(), None)
        return pa.RecordBatch.from_pylist([], schema=self._schema) if released is None else released

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows that are held back."""
        self._close_run()
        yield from self._released()

    def _released(self) -> Iterator[pa.RecordBatch]:
        while self._ready:
            for batch in self._ready[0]:
                if batch.num_rows:
                    yield batch
            self._ready.popleft()

    def _close_run(self) -> None:
        if self._rows:
            self._ready.append(self._resolve(self._hold))
            self._rows = 0
            self._hold = self._new_hold()

    @abc.abstractmethod
    def _collect(self, batch: pa.RecordBatch, first: int) -> None:
        """Store what the decision needs of some rows; `first` is the number of the first one."""

    @abc.abstractmethod
    def _resolve(self, hold: Hold) -> Iterator[pa.RecordBatch]:
        """Decide on all rows collected since the last call, and yield the resulting batches."""


def present(column: pa.Array) -> np.ndarray:
    """Return which rows of a text column have a value, also if the dictionary holds nulls."""
    values, indices = distinct(column)
    return np.asarray(np.append(np.asarray(values.is_valid()), False)[indices])


def windows(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each row's window in microseconds: start, end, and whether it has a start at all.

    A row without an end, or with one before its start, has a window of no length.
    """
    start, no_start = _micros(batch.column("start_time"))
    end, no_end = _micros(batch.column("end_time"))
    return start, np.where(no_end, start, np.maximum(start, end)), ~no_start


def _micros(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    if pa.types.is_timestamp(column.type):
        if column.type.unit != "us":
            column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        column = column.view(pa.int64())
    return plain_integers(column)


def ranked(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct times in order, and for each time its position among them (below 2^32)."""
    encoded = pa.array(times).dictionary_encode()
    values = np.asarray(encoded.dictionary.to_numpy())
    order = np.argsort(values)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return values[order], place[encoded.indices.to_numpy()]


def within(groups: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Make one number of a group's number and a rank, which sorts by group, then rank."""
    return np.asarray((groups << 32) | ranks)
