"""Apache Parquet, for data lakes and query engines."""

from __future__ import annotations

from typing import Any, BinaryIO, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import ComponentConfig, ConfigError, Encoded, Format, FormatWriter
from ktrans.formats.conform import conform, leaves, storable
from ktrans.kit.files.compression import OutputStream
from ktrans.kit.units import Size

_LEVELS = {"zstd": range(1, 23), "gzip": range(1, 10)}
_PAGE_ROWS = 1 << 20
_STEP_ROWS = 8192
"""Rows of a page at most, and how many are encoded at a time. Pages end at 1 MiB anyway; pyarrow's
defaults of 20,000 and 1024 take a tenth more time and some size."""
_BUFFER_BYTES = 64 << 10
"""A column chunk's pages arrive in pieces of some bytes: they are written together."""
LONGEST_BOUND = 100
"""Longer texts are no statistics of a table."""
_FIRST_GUESS = 0.25
"""Size in the file over size in memory, before the first row group (flow logs: 0.15 to 0.3)."""


_USUAL = frozenset(
    {
        *(
            pa.string(),
            pa.binary(),
            pa.bool_(),
            pa.float32(),
            pa.float64(),
            pa.timestamp("us", tz="UTC"),
        ),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    }
)
"""Types that Parquet certainly has; others are tried."""


class ParquetFormatConfig(ComponentConfig, type="parquet"):
    """Options of Parquet files."""

    compression: Literal["zstd", "snappy", "gzip", "none"] = Field(
        "zstd", description="Codec of the pages inside the file.", examples=["zstd", "snappy"]
    )
    compression_level: int | None = Field(
        None,
        description="Level of zstd (1 to 22) or gzip (1 to 9). By default zstd uses 1.",
        examples=[1, 9],
    )
    row_group_rows: int = Field(
        300_000,
        ge=1,
        description="Rows after which a row group is written. More of them compress better and"
        " take more memory.",
        examples=[300_000],
    )
    row_group_size: Size = Field(
        128 << 20,
        ge=1 << 16,
        description="Size in memory after which a row group is written, however few rows it has.",
        examples=[128 << 20],
    )
    statistics: Literal["all", "none"] | tuple[str, ...] = Field(
        ("start_time", "end_time"),
        description="Columns to keep the least and greatest value of, by which readers skip row"
        " groups. They cost a third of the writing time if taken of all columns.",
        examples=["all", "none", ["start_time", "account_id"]],
    )
    dictionary: Literal["auto", "all", "none"] | tuple[str, ...] = Field(
        "auto",
        description="Columns to encode by dictionary, as long as it stays below 1 MiB: all, none,"
        " the ones named, or `auto`: all but 64-bit numbers, whose values rarely repeat.",
        examples=["auto", "all", ["src_addr", "dst_addr"]],
    )

    delta: tuple[str, ...] = Field(
        ("source_pos",),
        description="Whole-number columns that grow steadily from row to row: stored as differences,"
        " smaller and faster than as they are. Such a column is not encoded by dictionary.",
        examples=[["source_pos"]],
    )
    byte_stream_split: tuple[str, ...] = Field(
        (),
        description="Columns of numbers to store byte by byte (BYTE_STREAM_SPLIT) instead of by"
        " dictionary: counters and ports take less time and space so. Not every engine reads it for"
        " whole numbers (pyarrow, DuckDB and Polars do): try yours first.",
        examples=[["src_port", "dst_port", "packets", "bytes"]],
    )
    null_columns: Literal["write", "omit"] = Field(
        "write",
        description="Whether a file has the columns that are null in all its rows. Without them it"
        " is smaller and written faster, but files differ in their columns, so that whoever reads"
        " several must join them by name.",
        examples=["write", "omit"],
    )

    @model_validator(mode="after")
    def _level_fits(self) -> ParquetFormatConfig:
        level = self.compression_level
        if level is not None and level not in _LEVELS.get(self.compression, ()):
            raise ValueError(f"compression {self.compression} has no level {level}")
        return self

    @model_validator(mode="after")
    def _one_encoding(self) -> ParquetFormatConfig:
        if both := sorted({*self.delta} & {*self.byte_stream_split}):
            raise ValueError(f"columns in `delta` and `byte_stream_split`: {', '.join(both)}")
        return self

    def encodings(self, schema: pa.Schema) -> dict[str, str]:
        """Return the encodings of the columns for which one is chosen."""
        chosen = dict.fromkeys(self.delta, "DELTA_BINARY_PACKED")
        chosen |= dict.fromkeys(self.byte_stream_split, "BYTE_STREAM_SPLIT")
        return {name: chosen[name] for name in schema.names if name in chosen}


class ParquetFormat(Format[ParquetFormatConfig]):
    """Files with the schema of the rows, including descriptions and the flow schema's version.

    The same rows give the same bytes with the same version of pyarrow: nothing depends on the time
    of writing. Batches are buffered to row groups; their dictionaries are unified, or each would be
    written out and most columns would fall back to plain text.
    """

    extension: ClassVar[str] = ".parquet"
    compressible: ClassVar[bool] = False

    _schema: pa.Schema
    _for_table = False

    def bind_table(self, schema: pa.Schema) -> None:
        """Keep the schema of files that are part of a table: they have no Arrow schema beside Parquet's.

        Readers would take dictionaries of text from it, where the table says text.

        Raises:
            ConfigError: as `bind`.
        """
        self._for_table = True
        self.bind(schema)

    def bind(self, schema: pa.Schema) -> None:
        """Keep the schema of the files.

        Raises:
            ConfigError: Parquet has no form for a column, or an option names one that is missing.
        """
        for field in schema:
            if field.name in self.config.delta and not pa.types.is_integer(field.type):
                raise ConfigError(
                    f"`delta` is for whole numbers, but {field.name} is {field.type}",
                    field="delta",
                    code="column_type",
                )
            if field.name in self.config.byte_stream_split and not _is_number(field.type):
                raise ConfigError(
                    f"`byte_stream_split` is for numbers, but {field.name} is {field.type}",
                    field="byte_stream_split",
                    code="column_type",
                )
        unusual = [field for field in schema if not _is_usual(field.type)]
        if unusual:
            storable(
                pa.schema(unusual),
                "Parquet",
                lambda part: self._writer(pa.BufferOutputStream(), part).close(),
            )
        for option in ("statistics", "dictionary", "delta", "byte_stream_split"):
            value = getattr(self.config, option)
            missing = [name for name in value if name not in schema.names]
            if not isinstance(value, str) and missing and option in self.config.model_fields_set:
                raise ConfigError(
                    f"`{option}` names columns that the rows do not have: {', '.join(missing)}",
                    code="column_missing",
                    hint=f"the rows have: {', '.join(schema.names)}",
                )
        self._schema = schema

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Cast the batch to the schema; the rest needs a whole row group."""
        batch = conform(batch, self._schema)
        return Encoded(batch, batch.num_rows, batch.nbytes)

    def open(self, stream: BinaryIO) -> ParquetFormatWriter:
        """Begin a file."""
        return ParquetFormatWriter(self, stream)

    def _writer(self, stream: Any, schema: pa.Schema, collector: list[Any] | None = None) -> Any:
        import pyarrow.parquet as pq

        config = self.config
        level = config.compression_level
        if level is None and config.compression == "zstd":
            level = 1
        return pq.ParquetWriter(
            stream,
            schema,
            version="2.6",
            compression=config.compression,
            compression_level=level,
            use_dictionary=self._dictionary(schema),
            column_encoding=config.encodings(schema) or None,
            write_statistics=self._chosen(config.statistics, schema),
            max_rows_per_page=_PAGE_ROWS,
            write_batch_size=_STEP_ROWS,
            metadata_collector=collector,
            store_schema=not self._for_table,
        )

    def _dictionary(self, schema: pa.Schema) -> bool | list[str]:
        chosen = self._chosen(self.config.dictionary, schema)
        if chosen is True:
            chosen = [leaf for field in schema for leaf in leaves(field.name, field.type)]
        encoded = self.config.encodings(schema)
        return chosen and [leaf for leaf in chosen if leaf not in encoded]

    def _chosen(self, option: str | tuple[str, ...], schema: pa.Schema) -> bool | list[str]:
        if not isinstance(option, str):
            chosen = [field for field in schema if field.name in option]
            return [leaf for field in chosen for leaf in leaves(field.name, field.type)] or False
        if option == "auto":
            return [
                leaf
                for field in schema
                for leaf, kind in leaves(field.name, field.type).items()
                if not _wide(kind)
            ] or False
        return option == "all"


class ParquetFormatWriter(FormatWriter):
    """Buffers batches to row groups; `tell` estimates the size of what is buffered.

    The first row group decides which columns the file has. A batch that needs more of them begins
    a new file: see `takes`.
    """

    def __init__(self, owner: ParquetFormat, stream: BinaryIO) -> None:
        given: Any = stream
        self._output = given if isinstance(given, OutputStream) else OutputStream(given.write)
        self._sink = pa.BufferedOutputStream(pa.PythonFile(self._output, mode="w"), _BUFFER_BYTES)
        self._owner = owner
        self._config = owner.config
        self._schema = owner._schema  # noqa: SLF001  # one component, two classes
        self._absent: list[str] = []
        self._footers: list[Any] = []
        self._writer: Any = None
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._given_bytes = 0
        self.buffered_bytes = 0

    def takes(self, encoded: Encoded) -> bool:
        """Return whether the file has all columns in which the batch has values."""
        return all(_all_null(encoded.data.column(name)) for name in self._absent)

    def write(self, encoded: Encoded) -> None:
        """Add a batch that the file takes; write a row group when there are enough rows."""
        if not encoded.rows:
            return
        self._pending.append(encoded.data)
        self._pending_rows += encoded.rows
        self.buffered_bytes += encoded.nbytes
        full = self._pending_rows >= self._config.row_group_rows
        if full or self.buffered_bytes >= self._config.row_group_size:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered as a row group."""
        if not self._pending_rows:
            return
        self._begin()
        batches = self._pending
        if self._absent:
            batches = [batch.select(self._schema.names) for batch in batches]
        table = pa.Table.from_batches(batches, self._schema).unify_dictionaries()
        self._writer.write_table(table, row_group_size=self._pending_rows)
        self._given_bytes += self.buffered_bytes
        self._pending, self._pending_rows, self.buffered_bytes = [], 0, 0

    def _begin(self) -> None:
        """Choose the columns by the rows that wait, and begin the file with them."""
        if self._writer is not None:
            return
        if self._config.null_columns == "omit" and self._pending:
            self._absent = [
                name
                for name in self._schema.names
                if all(_all_null(batch.column(name)) for batch in self._pending)
            ][: len(self._schema) - 1]  # a file without columns would have no rows either
            fields = [field for field in self._schema if field.name not in self._absent]
            self._schema = pa.schema(fields, self._schema.metadata)
        self._writer = self._owner._writer(self._sink, self._schema, self._footers)  # noqa: SLF001

    def __del__(self) -> None:
        # pyarrow's writer of an abandoned file would write the footer when it is freed, to a stream
        # that is closed by then.
        self._output.drop()
        if self._writer is not None:
            self._writer.is_open = False

    def tell(self) -> int:
        """Return the bytes written, plus those buffered at the ratio of sizes so far."""
        written = int(self._sink.tell())
        ratio = written / self._given_bytes if self._given_bytes else _FIRST_GUESS
        return written + int(self.buffered_bytes * ratio)

    def finish(self) -> int:
        """Write the last row group and the footer.

        Returns:
            The number of rows that the footer says.
        """
        self.flush()
        self._begin()
        self._writer.close()
        self._sink.flush()
        return int(self._footers[0].num_rows)

    def bounds(self) -> dict[str, tuple[Any, Any, int]]:
        """Return the least and greatest value and the nulls of columns with statistics, when finished.

        Values are as Parquet stores them: times in microseconds, dates in days. Those of decimals,
        booleans and floating-point numbers, which may be no number, are None.
        """
        footer = self._footers[0]
        names = [self._schema.field(at).name for at in range(len(self._schema))]
        plain = {footer.schema.column(at).path: at for at in range(footer.num_columns)}
        found: dict[str, tuple[Any, Any, int]] = {}
        for name in names:
            if name in plain:
                groups = [
                    footer.row_group(group).column(plain[name]).statistics
                    for group in range(footer.num_row_groups)
                ]
                if groups and all(one is not None and one.has_null_count for one in groups):
                    found[name] = _bounds(groups)
        return found


def _bounds(groups: list[Any]) -> tuple[Any, Any, int]:
    """Join the statistics of a column over the row groups of a file."""
    nulls = sum(one.null_count for one in groups)
    valued = [one for one in groups if one.num_values]
    whole = all(one.has_min_max for one in valued)
    if valued and whole and valued[0].logical_type.type in {"INT", "TIMESTAMP", "DATE", "NONE"}:
        if valued[0].physical_type in {"INT32", "INT64"}:
            return min(one.min_raw for one in valued), max(one.max_raw for one in valued), nulls
    elif valued and whole and valued[0].logical_type.type == "STRING":
        low, high = min(one.min for one in valued), max(one.max for one in valued)
        if len(low) <= LONGEST_BOUND and len(high) <= LONGEST_BOUND:
            return low, high, nulls
    return None, None, nulls


def _all_null(column: pa.Array) -> bool:
    return bool(column.null_count == len(column))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _wide(kind: pa.DataType) -> bool:
    return bool(pa.types.is_int64(kind) or pa.types.is_uint64(kind) or pa.types.is_floating(kind))


def _is_usual(kind: pa.DataType) -> bool:
    """Return whether Parquet certainly has a type: those of flow columns, and their like."""
    if pa.types.is_dictionary(kind):
        return bool(kind.value_type == pa.string())
    if pa.types.is_map(kind):
        return kind.key_type == pa.string() and kind.item_type in _USUAL
    return kind in _USUAL
