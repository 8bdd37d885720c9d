"""What sinks of files have in common, be it in folders or in an object store.

Rows are split by the path's template, encoded by a format, and end up in files whose names follow
from the pipeline, the sink's id, the epoch and the task.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

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
from ktrans.kit.files.compression import EXTENSIONS, Compression
from ktrans.kit.files.format_option import build_format
from ktrans.kit.files.open_files import FileSet, Place
from ktrans.kit.files.partition import check_columns, group, take
from ktrans.kit.files.path_template import PathTemplate, Slot, parse, slug
from ktrans.kit.units import Size


class LayoutConfig(ComponentConfig):
    """Options that all sinks of files have."""

    nested: ClassVar[dict[str, Kind]] = {"format": "format"}

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
    target_file_size: Size = Field(
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


L = TypeVar("L", bound=LayoutConfig)


class LayoutSink(Sink[L], abc.ABC):
    """Writes files named `<pipeline>.<sink>.<epoch>-<task>-<part><extension>`.

    A task that is done again writes the same files, and other pipelines and sinks can share the
    folder.
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

    @property
    def owner(self) -> str:
        """What tells this sink of this pipeline from others; fit for a file name, ASCII."""
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
        owner = re.escape(self.owner)
        # A history has fewer digits than the number of an epoch, see `EpochId`.
        return re.compile(pattern + owner + r"\.(?:([0-9a-f]{1,7})-)?(\d{8,})-\d{4}", re.DOTALL)

    def owns(self, name: str) -> bool:
        """Tell by a file's name whether this sink of this pipeline wrote it, in whatever format."""
        return self._beginning.match(name) is not None

    def written_until(self, name: str, epoch: EpochId) -> bool:
        """Tell whether a file's name is that of this epoch or of an earlier one of its history."""
        found = self._beginning.match(name)
        if found is None:
            return False
        return (found[1] or "") == epoch.history and int(found[2]) <= epoch.number

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
        try:
            check_columns(self.template, schema)
        except ConfigError as error:
            error.field = "path"
            raise
        if self.config.compression != "none" and not self.format.compressible:
            raise ConfigError(
                f"{self.config.format.type} files compress inside, not as a whole",
                field="compression",
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

    @abc.abstractmethod
    def place(self, task: TaskId) -> Place:
        """Give the place where one attempt at a task puts its files."""

    def writer(self, task: TaskId) -> LayoutWriter:
        """Give a writer that stages the task's files."""
        extension = self.format.extension + EXTENSIONS[self.config.compression]
        files = FileSet(
            self.template,
            self.format,
            self.place(task),
            names=(f"{self.owner}.{task}", extension),
            compression=self.config.compression,
            target_bytes=self.config.target_file_size,
            max_open=self.config.max_open_files,
        )
        return LayoutWriter(self, files)

    def kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give the columns that go into files."""
        return batch if self._columns is None else batch.select(self._columns)


@runtime_checkable
class Grouping(Protocol):
    """A format that encodes the groups of a batch together, at less cost than one by one."""

    def encode_groups(self, batch: pa.RecordBatch, groups: Sequence[pa.Array]) -> list[Encoded]:
        """Encode the rows at each of these arrays of indices."""


class LayoutWriter(Writer):
    """Stages the files of one task."""

    def __init__(self, sink: LayoutSink[Any], files: FileSet) -> None:
        self._sink = sink
        self._files = files

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
            RetryableError: the place is full or fails; what the task had written is gone.
            AccessError: permission denied.
        """
        for key, part in encoded:
            self._files.write(key, part)

    def finish(self) -> Receipt:
        """Complete the files, durably, still unseen."""
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
