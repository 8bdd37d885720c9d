"""Files in partitioned folders, each complete and in its place, or not there at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import (
    ComponentConfig,
    ConfigError,
    Encoded,
    EpochId,
    Format,
    Kind,
    Receipt,
    Sink,
    TaskId,
    Writer,
)
from ktrans.sinks._compress import EXTENSIONS, Compression
from ktrans.sinks._files import FileSet
from ktrans.sinks._nested import build_format
from ktrans.sinks._partition import check_columns, group, take
from ktrans.sinks._staging import Staging, check_writable
from ktrans.sinks._template import PathTemplate, Slot, parse, slug


class FileSinkConfig(ComponentConfig):
    """Options of the file sink."""

    nested: ClassVar[dict[str, Kind]] = {"format": "format"}

    type: Literal["file"] = Field("file", description="Local files.", examples=["file"])
    path: str = Field(
        description="Where files go: a folder of fixed name, then folders named by the rows' own"
        " values. {column} takes a text or number, {time:%Y-%m-%d} a time in UTC. Ends with a slash"
        " to have files named for you; otherwise the name holds {task}.",
        examples=[
            "out/flows/date={start_time:%Y-%m-%d}/",
            "out/{account_id}/flows-{task}.parquet",
        ],
    )
    format: ComponentConfig = Field(
        ComponentConfig(type="parquet"),
        description="How rows look in the files.",
        examples=[{"type": "parquet"}, {"type": "jsonl"}],
    )
    compression: Compression = Field(
        "none",
        description="Compression of whole files, for text formats. Parquet and Arrow compress"
        " inside, by an option of theirs.",
        examples=["none", "gzip", "zstd"],
    )
    target_file_bytes: int = Field(
        128 << 20,
        ge=1,
        description="Size at which a file is closed and the next one begun, in bytes as they are"
        " on disk. Files end with a whole batch, so they come out somewhat larger.",
        examples=[128 << 20],
    )
    max_open_files: int = Field(
        128,
        ge=1,
        description="How many files a task keeps open; beyond it the largest one is closed.",
        examples=[128],
    )
    keep_partition_columns: bool = Field(
        True,
        description="Whether columns that stand in the path as they are stay in the files as well.",
        examples=[True],
    )

    @field_validator("path")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        parse(value)
        return value


class FileSink(Sink[FileSinkConfig]):
    """Writes files below one folder, exactly once.

    A task's files wait in `.ktrans-staging` below that folder and are renamed at the commit. Their
    names follow from the pipeline, the sink's id, the epoch and the task, so a task that is done
    again writes the same files, and other pipelines and sinks can share the folder:
    `<pipeline>.<sink>.<epoch>-<task>-<part><extension>`. A crash amid a commit leaves some files of
    the epoch visible and the others staged; the next run completes the commit.
    """

    _columns: list[str] | None = None

    @cached_property
    def template(self) -> PathTemplate:
        """The path's template, taken apart."""
        return parse(self.config.path)

    @cached_property
    def format(self) -> Format[Any]:
        """The format of the files."""
        return build_format(self.config.format, self.context)

    @cached_property
    def staging(self) -> Staging:
        """Where unfinished files wait."""
        root = self.context.path(self.template.root).resolve()
        return Staging(root, self._owner)

    @property
    def folder(self) -> Path:
        """The folder that all files are below."""
        return self.staging.root

    @property
    def _owner(self) -> str:
        return f"{slug(self.context.pipeline)}.{slug(self.context.name)}"

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        """What the names of this sink's files begin with, up to the task."""
        pattern = ""
        for part in self.template.name or (Slot("task"),):
            if isinstance(part, str):
                pattern += re.escape(part)
            elif part.column == "task":
                break
            else:
                pattern += ".*"
        return re.compile(pattern + re.escape(self._owner) + r"\.(?:[0-9a-f]+-)?\d+-\d+", re.DOTALL)

    def owns(self, name: str) -> bool:
        """Tell by a file's name whether this sink of this pipeline wrote it, in whatever format."""
        return self._beginning.match(name) is not None

    def check(self) -> None:
        """Find out whether the folder can be written, without making it."""
        check_writable(self.staging.root)

    def needs(self) -> Sequence[str] | None:
        """Name the columns of the path and of the format; None if the format takes all."""
        columns = self.format.needs()
        if columns is None:
            return None
        return tuple(dict.fromkeys((*columns, *self.template.columns())))

    def bind(self, schema: pa.Schema) -> None:
        """Check path and format against the rows to come.

        Raises:
            ConfigError: a column is missing or does not fit, or the options contradict each other.
        """
        check_columns(self.template, schema)
        if self.config.compression != "none" and not self.format.compressible:
            raise ConfigError(
                f"{self.config.format.type} files compress inside, not as a whole",
                code="compression",
                hint=f"leave out `compression: {self.config.compression}` of the sink, and set that"
                " of the format",
            )
        if not self.config.keep_partition_columns:
            taken = {slot.column for slot in self.template.slots if not slot.format}
            self._columns = [name for name in schema.names if name not in taken]
            if not self._columns:
                raise ConfigError(
                    "the path takes up all columns, so nothing is left for the files",
                    code="column_missing",
                    hint="set keep_partition_columns: true",
                )
            fields = [schema.field(name) for name in self._columns]
            schema = pa.schema(fields, metadata=schema.metadata)
        self.format.bind(schema)

    def prepare(self, epoch: EpochId) -> None:
        """Remove what attempts at this epoch and at earlier ones left in staging."""
        self.staging.discard_until(epoch)

    def writer(self, task: TaskId) -> FileWriter:
        """Give a writer that stages the task's files."""
        return FileWriter(self, task)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Rename the staged files to their final names.

        Raises:
            StageLostError: a file is neither staged nor published.
        """
        self.staging.publish(file for receipt in receipts for file in receipt.data["files"])
        self.staging.discard_until(epoch)

    def names(self, task: TaskId) -> tuple[str, str]:
        """Give the beginning of a task's file names, and their extension."""
        return f"{self._owner}.{task}", self.format.extension + EXTENSIONS[self.config.compression]

    def kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give the columns that go into files."""
        return batch if self._columns is None else batch.select(self._columns)


@runtime_checkable
class Grouping(Protocol):
    """A format that encodes the groups of a batch together, at less cost than one by one."""

    def encode_groups(self, batch: pa.RecordBatch, groups: Sequence[pa.Array]) -> list[Encoded]:
        """Encode the rows at each of these arrays of indices."""


class FileWriter(Writer):
    """Stages the files of one task."""

    def __init__(self, sink: FileSink, task: TaskId) -> None:
        self._sink = sink
        self._files = FileSet(
            sink.template,
            sink.format,
            sink.staging,
            task,
            names=sink.names(task),
            compression=sink.config.compression,
            target_bytes=sink.config.target_file_bytes,
            max_open=sink.config.max_open_files,
        )

    def encode(self, batch: pa.RecordBatch) -> list[tuple[tuple[str, ...], Encoded]]:
        """Split a batch by folders and encode each part. Pure."""
        if not batch.num_rows:
            return []
        made = self._sink.format
        keys, groups = group(self._sink.template, batch)
        batch = self._sink.kept(batch)
        if not groups:
            return [(keys[0], made.encode(batch))]
        if isinstance(made, Grouping):
            return list(zip(keys, made.encode_groups(batch, groups), strict=True))
        return [
            (key, made.encode(take(batch, rows))) for key, rows in zip(keys, groups, strict=True)
        ]

    def write(self, encoded: list[tuple[tuple[str, ...], Encoded]]) -> None:
        """Add each part to its file.

        Raises:
            RetryableError: the disk is full; what the task had written is gone.
            AccessError: permission denied.
        """
        for key, part in encoded:
            self._files.write(key, part)

    def finish(self) -> Receipt:
        """Complete the files, durably, still in staging."""
        files = self._files.finish()
        return Receipt(
            rows=sum(file["rows"] for file in files),
            bytes=sum(file["bytes"] for file in files),
            data={"files": files},
            outputs=tuple(file["final"] for file in files),
        )

    def abort(self) -> None:
        """Remove the task's staged files."""
        self._files.abort()
