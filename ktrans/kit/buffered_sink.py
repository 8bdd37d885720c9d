"""The base of sinks that send rows in transactions or requests: databases, APIs."""

from __future__ import annotations

import abc
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ktrans.api import EpochId, KtransError, Receipt, Refused, Sink, StageLostError, TaskId, Writer
from ktrans.api.component import C
from ktrans.kit.files.path_template import slug
from ktrans.kit.files.private_folder import private_folder
from ktrans.kit.files.staging import os_errors, replace_file, sync_folder


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a batch of rows until the commit.

    Attributes:
        batch: of the schema that `bind` took.
        rows: how many rows it stands for.
        refused: rows that the destination will never accept.
    """

    batch: pa.RecordBatch
    rows: int
    refused: Sequence[Refused] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """The rows of one task.

    Attributes:
        mark: names pipeline, sink, epoch and task; the same when the same rows are sent again.
        rows: their number.
        schema: their schema, as `bind` saw it when they were staged.
        path: the Arrow stream file that holds them. Other files may be put beside it, with another
            suffix; they are removed with it.
    """

    mark: str
    rows: int
    schema: pa.Schema
    path: Path

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, batch by batch; can be called again."""
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader


class BufferedSink(Sink[C]):
    """Keeps a task's rows in a local file until the commit, then delivers them.

    Subclasses implement `deliver`, which is called at least once for each task. Rows arrive exactly
    once if it stores `delivery.mark` in the same transaction as the rows and does nothing if the
    mark exists; or if rows that are sent again replace themselves. Declare that by
    `delivery="exactly_once"` in the Spec, otherwise `"at_least_once"`.

    Rows wait in `.ktrans/staged/<pipeline>.<sink>/` beside the pipeline file, so the disk needs
    room for the rows of an epoch. A run on another machine does not find them, and processes the
    epoch again.
    """

    stages = "shared_path"

    _schema: pa.Schema

    @abc.abstractmethod
    def deliver(self, delivery: Delivery) -> None:
        """Send the rows of one task.

        Raises:
            RetryableError: it may succeed later: the run ends, and the next one delivers.
            AccessError, UnavailableError, ConfigError: as their names say.
        """

    def bind(self, schema: pa.Schema) -> None:
        """Take the schema; extend this to refuse columns that cannot be stored."""
        self._schema = schema

    def encode(self, batch: pa.RecordBatch) -> Kept:
        """Return what to keep of a batch, by default the rows themselves. Pure; any thread."""
        return Kept(batch, batch.num_rows)

    def prepare(self, epoch: EpochId) -> None:
        """Remove files of attempts at this epoch and at earlier ones."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            history, _, rest = path.stem.rpartition("-")[0].rpartition("-")
            if history == epoch.history and rest.isdigit() and int(rest) <= epoch.number:
                path.unlink(missing_ok=True)

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that keeps the task's rows."""
        with os_errors(self.folder):
            private_folder(self.folder)
            # A unique name: files of other attempts, finished or not, must not be taken for this one.
            path = self.folder / f"{task}.{secrets.token_hex(4)}.arrow"
            return _Stager(self, path, self._schema)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Deliver the staged files that have not been delivered.

        A file is renamed once it is delivered, so that a repeated commit skips it.

        Raises:
            StageLostError: a file has disappeared without having been delivered.
        """
        staged = [receipt for receipt in receipts if receipt.data["file"]]
        settled = self._settled(epoch)
        for receipt in staged:
            path = self.folder / receipt.data["file"]
            if not (settled or path.exists() or _done(path).exists()):
                raise StageLostError(f"{path} has disappeared with {receipt.rows} rows")
        for receipt in staged:
            path = self.folder / receipt.data["file"]
            if path.exists():
                task = path.stem.partition(".")[0]
                mark = f"{self.context.pipeline}/{self.context.name}/{task}"
                with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
                    schema = reader.schema  # as it was staged, whatever the pipeline says now
                self.deliver(Delivery(mark, receipt.rows, schema, path))
                path.replace(_done(path))
        if staged:
            replace_file(self._note(epoch), str(epoch.number).encode())
        self.prepare(epoch)

    def outputs(self) -> tuple[str, ...]:
        """Return the destination's names, for receipts."""
        return ()

    @property
    def folder(self) -> Path:
        """The folder in which rows wait."""
        name = f"{slug(self.context.pipeline)}.{slug(self.context.name)}"
        return self.context.path(".ktrans") / "staged" / name

    def _note(self, epoch: EpochId) -> Path:
        """Return the file with the number of the last epoch of a history that was delivered."""
        return self.folder / f"last{epoch.history and '-'}{epoch.history}"

    def _settled(self, epoch: EpochId) -> bool:
        """Return whether this epoch was delivered completely."""
        note = self._note(epoch)
        return note.exists() and int(note.read_text() or 0) >= epoch.number


def _done(path: Path) -> Path:
    return path.with_name(f"{path.name}.done")


class _Stager(Writer):
    """Keeps the rows of a task in an Arrow stream file."""

    def __init__(self, sink: BufferedSink[Any], path: Path, schema: pa.Schema) -> None:
        self._sink = sink
        self._path = path
        self._rows = 0
        self._refused: list[Refused] = []
        self._file: Any = path.open("wb")
        options = pa.ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=True)
        self._stream = pa.ipc.new_stream(self._file, schema, options=options)

    def encode(self, batch: pa.RecordBatch) -> Kept:
        return self._sink.encode(batch)

    def write(self, encoded: Kept) -> None:
        try:
            with os_errors(self._path):
                self._stream.write_batch(encoded.batch)
        except KtransError:
            self.abort()
            raise
        self._rows += encoded.rows
        self._refused += encoded.refused

    def finish(self) -> Receipt:
        with os_errors(self._path):
            self._stream.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if not self._rows:
                self._path.unlink()
                return Receipt(0, data={"file": None})
            sync_folder(self._path.parent)
        size = self._path.stat().st_size
        return Receipt(self._rows, size, {"file": self._path.name}, self._sink.outputs())

    def refused(self) -> Sequence[Refused]:
        return self._refused

    def abort(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
