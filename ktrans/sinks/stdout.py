"""Writes rows to standard output, for the next program in a pipe."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from ktrans.api import (
    ComponentConfig,
    ConfigError,
    Encoded,
    EpochId,
    InterruptedRunError,
    Kind,
    Receipt,
    Sink,
    StageLostError,
    TaskId,
    Writer,
)
from ktrans.kit.disk import drop_stdout
from ktrans.kit.files.format_option import build_format
from ktrans.kit.files.staging import os_errors
from ktrans.kit.rows.row_format import RowFormat

_IN_MEMORY_BYTES = 8 << 20


class StdoutSinkConfig(ComponentConfig, type="stdout"):
    """Options of the stdout sink."""

    nested: ClassVar[dict[str, Kind]] = {"format": "format"}

    format: ComponentConfig = Field(
        ComponentConfig(type="jsonl"),
        description="How rows look: a format of rows, such as jsonl, csv or influx.",
        examples=[{"type": "jsonl"}, {"type": "csv"}],
    )


class StdoutSink(Sink[StdoutSinkConfig]):
    """Prints an epoch's rows at its commit, task by task; a header is printed once.

    Rows wait in memory, and beyond 8 MiB in a temporary file, so that nothing of a failed epoch is
    printed. Delivery is at least once: a run that dies during a commit prints the epoch again.
    """

    def __init__(self, config: StdoutSinkConfig, context: Any = None) -> None:
        super().__init__(config, context)
        self._waiting: dict[str, Any] = {}
        self._printed: EpochId | None = None
        self._begun = False

    bound_because = "rows wait in the memory of the process that prints them"

    @cached_property
    def format(self) -> RowFormat[Any]:
        """The format of the rows."""
        made = build_format(self.config.format, self.context)
        if not isinstance(made, RowFormat):
            raise ConfigError(
                f"{self.config.format.type} makes files, not rows that can be printed one after"
                " the other",
                code="format_not_supported",
                hint="take jsonl, csv or influx here, or a file sink",
            )
        return made

    def needs(self) -> Sequence[str] | None:
        """Return the columns that the format writes."""
        return self.format.needs()

    def bind(self, schema: pa.Schema) -> None:
        """Pass the schema to the format."""
        self.format.bind(schema)

    def prepare(self, epoch: EpochId) -> None:
        """Remove rows of earlier attempts at this epoch."""
        for key in [key for key in self._waiting if key.startswith(f"{epoch}-")]:
            self._waiting.pop(key).close()

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that keeps rows until the commit."""
        return _Waiting(self.format, str(task), self._waiting)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Print the rows.

        Raises:
            StageLostError: the rows were kept by a process that has ended.
            InterruptedRunError: the reader of standard output has closed it.
        """
        if epoch == self._printed:
            return
        keys = [str(receipt.data["task"]) for receipt in receipts]
        lost = [key for key in keys if key not in self._waiting]
        if lost:
            raise StageLostError(
                f"the rows of task {lost[0]} were kept by a process that has ended",
                hint="the epoch is processed again; rows already printed come twice",
            )
        with _reader():
            out = sys.stdout.buffer
            if not self._begun:
                out.write(self.format.header())
                self._begun = True
            for key in keys:
                spool = self._waiting[key]
                spool.seek(0)
                shutil.copyfileobj(spool, out, 1 << 20)
            out.flush()
        self._printed = epoch
        self.prepare(epoch)

    def close(self) -> None:
        """Discard rows that were not printed."""
        for spool in self._waiting.values():
            spool.close()
        self._waiting.clear()


class _Waiting(Writer):
    def __init__(self, rows: RowFormat[Any], task: str, waiting: dict[str, Any]) -> None:
        self._format = rows
        self._task = task
        self._waiting = waiting
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
        self._rows = 0
        self._bytes = 0

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        return self._format.encode(batch)

    def write(self, encoded: Encoded) -> None:
        with os_errors(tempfile.gettempdir()):
            self._spool.write(encoded.data)
        self._rows += encoded.rows
        self._bytes += encoded.nbytes

    def finish(self) -> Receipt:
        self._waiting[self._task] = self._spool
        return Receipt(self._rows, self._bytes, {"task": self._task}, ("standard output",))

    def abort(self) -> None:
        if self._waiting.get(self._task) is self._spool:
            del self._waiting[self._task]
        self._spool.close()


@contextlib.contextmanager
def _reader() -> Any:
    try:
        yield
    except BrokenPipeError as error:
        with contextlib.suppress(OSError, ValueError):
            drop_stdout()
        raise InterruptedRunError(
            "the program that read standard output has closed it", code="broken_pipe"
        ) from error
