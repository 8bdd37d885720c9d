"""The base of sinks that write files, into folders or into an object store.

The path's template splits the rows, a format encodes them, and the names of the files consist of
the pipeline, the sink's id, the epoch and the task.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import (
    ComponentConfig,
    ConfigError,
    EpochId,
    Format,
    Kind,
    Receipt,
    Sink,
    TaskId,
)
from ktrans.kit.files.compression import EXTENSIONS, Compression
from ktrans.kit.files.file_writer import FileWriter
from ktrans.kit.files.format_option import build_format
from ktrans.kit.files.open_files import StagingArea
from ktrans.kit.files.partition import check_columns
from ktrans.kit.files.path_template import PathTemplate, Slot, parse, slug
from ktrans.kit.units import Size

if TYPE_CHECKING:
    from ktrans.kit.files.sink_table import SinkTable


class PartitionedSinkConfig(ComponentConfig):
    """Options that all sinks of files have."""

    nested: ClassVar[dict[str, Kind]] = {"format": "format", "table": "table"}

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
    table: ComponentConfig | None = Field(
        None,
        description="A Delta Lake or Iceberg table that the files become part of: its readers see all"
        " rows of an epoch at once. Needs the plugin ktrans-lake and Parquet files.",
        examples=[{"type": "delta"}],
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
    buffer_size: Size = Field(
        256 << 20,
        ge=1 << 16,
        le=1 << 30,
        description="How much a task keeps in memory for its files: rows that are gathered by"
        " partition, and row groups. Beyond it gathered rows wait on the disk.",
        examples=[512 << 20],
    )
    keep_partition_columns: bool = Field(
        True,
        description="Whether columns whose value is in the path as it is stay in the files as well.",
        examples=[True],
    )

    @field_validator("path")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        parse(value)
        return value


P = TypeVar("P", bound=PartitionedSinkConfig)


class PartitionedSink(Sink[P], abc.ABC):
    """Writes files named `<pipeline>.<sink>.<epoch>-<task>-<part><extension>`.

    A repeated task writes the same files, and other pipelines and sinks can share the folder.
    """

    shared = False
    """Whether other writers' files may be among this sink's, see `WritesFolder`."""

    _columns: list[str] | None = None

    @cached_property
    def template(self) -> PathTemplate:
        """The parsed path."""
        return parse(self.config.path)

    @cached_property
    def format(self) -> Format[Any]:
        """The format of the files."""
        return build_format(self.config.format, self.context)

    @property
    def owner(self) -> str:
        """A name of this sink of this pipeline, fit for a file name, ASCII."""
        return f"{slug(self.context.pipeline)}.{slug(self.context.name)}"

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        """The beginning of the names of this sink's files, up to the task."""
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
        """Return whether this sink of this pipeline wrote the file of this name, in any format."""
        return self._beginning.match(name) is not None

    def epoch_of(self, name: str) -> str | None:
        """Return the epoch that this sink wrote a file in, as a text like that of `EpochId`."""
        found = self._beginning.match(name)
        return found and str(EpochId("", int(found[2]), found[1] or ""))

    def written_until(self, name: str, epoch: EpochId) -> bool:
        """Return whether a file's name is of this epoch or of an earlier one of its history."""
        found = self._beginning.match(name)
        if found is None:
            return False
        return (found[1] or "") == epoch.history and int(found[2]) <= epoch.number

    def written_by(self, name: str, epochs: Collection[EpochId]) -> bool:
        """Return whether a file's name is of one of these epochs."""
        found = self._beginning.match(name)
        return found is not None and any(
            (found[1] or "") == epoch.history and int(found[2]) == epoch.number for epoch in epochs
        )

    def table_options(self) -> Mapping[str, str]:
        """Return how to reach the files of a table, see `TableStore`; may ask for credentials."""
        return {}

    @abc.abstractmethod
    def table_root(self) -> str:
        """Return the folder of all files of a table, see `TableStore`."""

    @cached_property
    def table(self) -> SinkTable | None:
        """The table that the files become part of."""
        if self.config.table is None:
            return None
        from ktrans.kit.files.sink_table import SinkTable

        return SinkTable(
            self.config.table, self.context, self.template, self.table_root(), self.table_options
        )

    def needs(self) -> Sequence[str] | None:
        """Return the columns of the path and of the format; None if the format takes all."""
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
        taken: Collection[str] = ()
        if not self.config.keep_partition_columns:
            taken = {slot.column for slot in self.template.slots if not slot.format}
        if self.table is not None:
            taken = self.table.bind(schema, taken)
        if taken:
            self._columns = [name for name in schema.names if name not in taken]
            if not self._columns:
                raise ConfigError(
                    "the path takes up all columns, so nothing is left for the files",
                    code="column_missing",
                    hint="set keep_partition_columns: true",
                )
            fields = [schema.field(name) for name in self._columns]
            schema = pa.schema(fields, metadata=schema.metadata)
        if self.table is not None:
            self.table.bind_format(self.format, schema)
        else:
            self.format.bind(schema)

    def check(self) -> None:
        """Check whether files can be written, and the table is there or can be made."""
        self.check_place()
        if self.table is not None:
            self.table.check()

    @abc.abstractmethod
    def check_place(self) -> None:
        """Check whether files can be written."""

    def prepare(self, epoch: EpochId) -> None:
        """Remove what attempts at this epoch and at earlier ones have staged."""
        self.discard_until(epoch)
        if self.table is not None:
            self.table.check_once(epoch)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Publish what was staged, add it to the table, and remove what other attempts have staged.

        Raises:
            StageLostError: a file is neither staged nor published.
            StateError: it was staged for another table.
        """
        if self.table is not None:
            self.table.commit(epoch, receipts, self.publish)
        else:
            if any("table" in receipt.data for receipt in receipts):
                from ktrans.kit.files.sink_table import other_table

                raise other_table(epoch)
            self.publish([file for receipt in receipts for file in receipt.data["files"]])
        self.discard_until(epoch)

    def close(self) -> None:
        """Close the connections of the table."""
        if "table" in self.__dict__ and self.table is not None:
            self.table.close()

    @abc.abstractmethod
    def publish(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Make staged files visible under their final names. Doing it again changes nothing.

        Raises:
            StageLostError: a file is neither staged nor published.
        """

    @abc.abstractmethod
    def discard_until(self, epoch: EpochId) -> None:
        """Remove what is staged of this epoch and of earlier ones of its history."""

    @abc.abstractmethod
    def staging_area(self, task: TaskId) -> StagingArea:
        """Return the staging area of one attempt at a task."""

    def writer(self, task: TaskId) -> FileWriter:
        """Return a writer that stages the task's files."""
        extension = self.format.extension + EXTENSIONS[self.config.compression]
        return FileWriter(
            self.template,
            self.format,
            self.staging_area(task),
            columns=self._columns,
            names=(f"{self.owner}.{task}", extension),
            compression=self.config.compression,
            target_bytes=self.config.target_file_size,
            buffer_bytes=self.config.buffer_size,
            abandoned=self.context.abandoned,
            describe=None if self.table is None else self.table.describe,
            data=None if self.table is None else self.table.data(),
        )
