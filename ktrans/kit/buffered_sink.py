"""The base of sinks that send rows in transactions or requests: databases, APIs."""

from __future__ import annotations

import abc
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ktrans.api import (
    EpochId,
    KtransError,
    Reach,
    Receipt,
    Refused,
    Sink,
    StageLostError,
    TaskId,
    Writer,
)
from ktrans.api.component import C
from ktrans.api.errors import state_is_older
from ktrans.kit.bucket_stage import BucketStage, bucket_of
from ktrans.kit.columns import option
from ktrans.kit.files.path_template import slug
from ktrans.kit.files.staging import os_errors
from ktrans.kit.objects.once import once
from ktrans.kit.row_stage import FolderStage, RowStage
from ktrans.kit.stage_option import BufferedSinkConfig, is_address


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
        origin: the part of the mark that all epochs of a history have in common.
        epoch: the number of the epoch. All earlier epochs of this origin were delivered as a whole, so
            a place that knows a mark of a later epoch needs those of this one no more.
        rows: their number.
        schema: their schema, as `bind` saw it when they were staged.
        path: the Arrow stream file that holds them. Other files may be put beside it, with another
            suffix; they are removed with it.
    """

    mark: str
    origin: str
    epoch: int
    rows: int
    schema: pa.Schema
    path: Path

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, batch by batch; can be called again."""
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader


class BufferedSink(Sink[C]):
    """Keeps a task's rows until the commit, then delivers them.

    Subclasses implement `deliver`, which is called at least once for each task. Rows arrive exactly
    once if it stores `delivery.mark` in the same transaction as the rows and does nothing if the
    mark exists; or if rows that are sent again replace themselves. Declare that by
    `delivery="exactly_once"` in the Spec, otherwise `"at_least_once"`.

    Rows wait in `.ktrans/staged/<pipeline>.<sink>/` beside the pipeline file, so the disk needs
    room for the rows of an epoch. A run on another machine does not find them, and processes the
    epoch again. Where the config is a `BufferedSinkConfig`, users can choose another folder or a
    bucket (option `stage`), with which tasks and commits can be on any machine.
    """

    _schema: pa.Schema

    @abc.abstractmethod
    def deliver(self, delivery: Delivery) -> None:
        """Send the rows of one task.

        Raises:
            RetryableError: it may succeed later: the run ends, and the next one delivers.
            AccessError, UnavailableError, ConfigError: as their names say.
        """

    @property
    def stages(self) -> Reach:
        """Anywhere with a bucket, otherwise where the folder is seen."""
        return "anywhere" if self._bucket else "shared_path"

    @property
    def bound_because(self) -> str:
        """Why it is bound without a bucket."""
        if self._bucket or not isinstance(self.config, BufferedSinkConfig):
            return ""
        return "rows wait in a local folder, since `stage` names no bucket"

    @property
    def _chosen(self) -> str | None:
        return self.config.stage if isinstance(self.config, BufferedSinkConfig) else None

    @property
    def _bucket(self) -> bool:
        return self._chosen is not None and is_address(self._chosen)

    @property
    def folder(self) -> Path:
        """The local folder in which rows wait, or are put while they are delivered."""
        name = f"{slug(self.context.pipeline)}.{slug(self.context.name)}"
        chosen = None if self._bucket else self._chosen
        if chosen is None:
            return self.context.path(".ktrans") / "staged" / name
        return self.context.path(chosen) / name

    @once
    def stage(self) -> RowStage:
        """Where rows wait."""
        if self._chosen is None or not self._bucket:
            return FolderStage(self.folder)
        with option("stage"):
            state, prefix = bucket_of(self._chosen, self.context)
        return BucketStage(state, f"{prefix}{self.folder.name}/", self.folder)

    def bind(self, schema: pa.Schema) -> None:
        """Take the schema; extend this to refuse columns that cannot be stored."""
        self._schema = schema
        _ = self.stage

    def encode(self, batch: pa.RecordBatch) -> Kept:
        """Return what to keep of a batch, by default the rows themselves. Pure; any thread."""
        return Kept(batch, batch.num_rows)

    def check(self) -> None:
        """Check that rows can be kept; extend this to look at the destination."""
        self.stage.check()

    def prepare(self, epoch: EpochId) -> None:
        """Remove files of attempts at this epoch and at earlier ones.

        Raises:
            StateError: the epoch was never decided, and yet it was delivered, or a later one.
        """
        self._remove_until(epoch)
        last = self._last_delivered(epoch)
        if last >= epoch.number and not epoch.decided:
            raise state_is_older(f"sink {self.context.name}", last, epoch.number)

    def _remove_until(self, epoch: EpochId) -> None:
        stages = [self.stage, FolderStage(self.folder)] if self._bucket else [self.stage]
        for stage in stages:
            for name in stage.listed():
                if _written_until(name, epoch):
                    stage.remove(name)

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that keeps the task's rows."""
        with os_errors(self.folder):
            # A unique name: files of other attempts, finished or not, must not be taken for this one.
            return _Stager(self, f"{task}.{secrets.token_hex(4)}.arrow", self._schema)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Deliver the staged files that have not been delivered.

        What was delivered is noted, so that a repeated commit skips it.

        Raises:
            StageLostError: a file has disappeared without having been delivered.
        """
        staged = [receipt for receipt in receipts if receipt.data["file"]]
        if staged and self._last_delivered(epoch) < epoch.number:
            names = self.stage.listed()
            waiting = [receipt for receipt in staged if _done(receipt) not in names]
            for receipt in waiting:
                if not self.stage.there(*_place(receipt), names):
                    raise StageLostError(
                        f"{receipt.data['file']} has disappeared with {receipt.rows} rows"
                    )
            for receipt in waiting:
                self._deliver(epoch, receipt)
            self.stage.keep(_note(epoch), str(epoch.number).encode())
        self._remove_until(epoch)

    def _deliver(self, epoch: EpochId, receipt: Receipt) -> None:
        file, parts = _place(receipt)
        mark = f"{self.context.pipeline}/{self.context.name}/{file.partition('.')[0]}"
        with self.stage.fetch(file, parts) as path:
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
                schema = reader.schema  # as it was staged, whatever the pipeline says now
            origin = self.origin(epoch)
            self.deliver(Delivery(mark, origin, epoch.number, receipt.rows, schema, path))
        self.stage.keep(_done(receipt), b"")

    def origin(self, epoch: EpochId) -> str:
        """Return the origin of deliveries of an epoch, see `Delivery`."""
        return f"{self.context.pipeline}/{self.context.name}/{epoch.history}"

    def outputs(self) -> tuple[str, ...]:
        """Return the destination's names, for receipts."""
        return ()

    def close(self) -> None:
        """Release the connection to a bucket."""
        made: RowStage | None = self.__dict__.pop("stage", None)
        if made is not None:
            made.close()

    def _last_delivered(self, epoch: EpochId) -> int:
        """Return the number of the last epoch of a history that was delivered completely, or 0."""
        return int(self.stage.read(_note(epoch)) or 0)


def _note(epoch: EpochId) -> str:
    """Return the name of the file with the number of the last epoch of a history that was delivered."""
    return f"last{epoch.history and '-'}{epoch.history}"


def _place(receipt: Receipt) -> tuple[str, int]:
    return receipt.data["file"], receipt.data["parts"]


def _done(receipt: Receipt) -> str:
    return f"{receipt.data['file']}.done"


def _written_until(name: str, epoch: EpochId) -> bool:
    """Return whether a file is of this epoch or of an earlier one of its history."""
    history, _, number = name.partition(".")[0].rpartition("-")[0].rpartition("-")
    return history == epoch.history and number.isdigit() and int(number) <= epoch.number


class _Stager(Writer):
    """Keeps the rows of a task as an Arrow stream."""

    def __init__(self, sink: BufferedSink[Any], name: str, schema: pa.Schema) -> None:
        self._sink = sink
        self._name = name
        self._rows = 0
        self._refused: list[Refused] = []
        self._file = sink.stage.begin(name)
        options = pa.ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=True)
        self._stream = pa.ipc.new_stream(self._file.stream, schema, options=options)

    def encode(self, batch: pa.RecordBatch) -> Kept:
        return self._sink.encode(batch)

    def write(self, encoded: Kept) -> None:
        try:
            with os_errors(self._sink.folder):
                self._stream.write_batch(encoded.batch)
        except KtransError:
            self.abort()
            raise
        self._rows += encoded.rows
        self._refused += encoded.refused

    def finish(self) -> Receipt:
        if not self._rows:
            self.abort()
            return Receipt(0, data={"file": None})
        with os_errors(self._sink.folder):
            self._stream.close()
            size = self._file.stream.tell()
            data = {"file": self._name, "parts": self._file.end()}
        return Receipt(self._rows, size, data, self._sink.outputs())

    def refused(self) -> Sequence[Refused]:
        return self._refused

    def abort(self) -> None:
        self._file.drop()
