"""Parquet objects of AWS flow logs, as AWS writes them and as others rewrite them.

AWS writes flat, optional columns with underscores in their names, `-` in texts and null in numbers
that are not reported (AWS VPC User Guide, "Flow log files"). Tools that rewrite such files turn
integers into doubles or texts, and nulls into "None" or NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Decoded, Payload, RejectError, TruncatedError, reject_batch
from ktrans.decoders.aws.fields import FieldKind
from ktrans.decoders.aws.layout import Dialect, native_name
from ktrans.decoders.aws.rows import Lineage, Mapper
from ktrans.decoders.aws.values import INTEGERS, Wrong, coerce, explain
from ktrans.flow.columns import as_text, recode
from ktrans.flow.schema import TEXT

PARQUET_MAGIC = b"PAR1"
JSON_LAYOUT = "json"
"""The layout of rejected rows: their raw bytes are JSON objects."""

BATCH_ROWS = 1 << 16
MIN_KNOWN = 2
_MIN_FILE_BYTES = 12
_NULL_TEXTS = ("-", "", "None", "none", "NaN", "nan", "null", "NULL", "<NA>")
_INDEX_COLUMN = "__index_level_"
_EXACT_DOUBLE = float(1 << 53)


@dataclass(frozen=True, slots=True)
class RowsBlock:
    """Some rows of a Parquet object.

    Attributes:
        uri: the object.
        batch: the columns that are needed, named as in the file.
        first: the 1-based ordinal of the first row in the object.
        columns: the file's name of each native field.
        mapper: makes rows of the native columns.
    """

    uri: str
    batch: pa.RecordBatch
    first: int
    columns: Mapping[str, str]
    mapper: Mapper

    @property
    def nbytes(self) -> int:
        """Size of the columns."""
        return int(self.batch.nbytes)


def native_columns(names: Sequence[str]) -> dict[str, str]:
    """Give the file's column for each native field.

    Names are compared without regard to case, hyphens and underscores; of several columns for one
    field the one that is written as AWS does wins.
    """
    found: dict[str, str] = {}
    for name in names:
        native = native_name(name)
        if name.startswith(_INDEX_COLUMN):
            continue
        if native not in found or name == native.replace("-", "_"):
            found[native] = name
    return found


def parquet_blocks(
    payload: Payload, dialect: Dialect, schema: pa.Schema, tell: Callable[[Iterable[str]], None]
) -> Iterator[RowsBlock]:
    """Read a Parquet object in batches of bounded size, only the columns that are needed."""
    import pyarrow.parquet as pq

    uri = payload.uri
    with payload.random_access() as stream:
        refuse_torn(payload, stream)
        try:
            file = pq.ParquetFile(stream)
            columns = native_columns(file.schema_arrow.names)
            if sum(name in dialect.by_name for name in columns) < MIN_KNOWN:
                raise RejectError(
                    f"{uri}: a Parquet file without the columns of {dialect.log_type} flow logs; "
                    f"it has {', '.join(file.schema_arrow.names[:8])}",
                    code="no_layout",
                )
            tell(columns)
            mapper = Mapper(dialect, tuple(columns), schema)
            wanted = [columns[name] for name in mapper.needed] or [next(iter(columns.values()))]
            texts = [f.name for f in file.schema_arrow if f.name in wanted and f.type in _TEXTS]
            if texts:
                file = pq.ParquetFile(stream, read_dictionary=texts)
            first = 1
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
                yield RowsBlock(uri, batch, first, columns, mapper)
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise RejectError(f"{uri}: not a readable Parquet file: {error}") from error


_TEXTS = (pa.string(), pa.large_string())


def refuse_torn(payload: Payload, stream: BinaryIO) -> None:
    """Let the engine try again when the file has no end yet."""
    if payload.final_attempt:
        return
    size = stream.seek(0, 2)
    stream.seek(max(size - len(PARQUET_MAGIC), 0))
    if size < _MIN_FILE_BYTES or stream.read() != PARQUET_MAGIC:
        raise TruncatedError(f"{payload.uri}: the Parquet file has no footer yet")
    stream.seek(0)


def json_rows(
    uri: str, stream: BinaryIO, dialect: Dialect, schema: pa.Schema
) -> Iterator[RowsBlock]:
    """Give blocks for rejected rows: one JSON object a line."""
    rows = [json.loads(line) for line in stream if line.strip()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not rows or not names:
        return
    texts = {
        name: pa.array([_as_text(row.get(name)) for row in rows], pa.string()) for name in names
    }
    columns = native_columns(names)
    yield RowsBlock(
        uri,
        pa.RecordBatch.from_pydict(texts),
        1,
        columns,
        Mapper(dialect, tuple(columns), schema),
    )


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def decode_rows(block: RowsBlock, decoder: str, version: str) -> Decoded:
    """Turn rows of a Parquet object into flow rows and rejects."""
    rows = block.batch.num_rows
    mapper = block.mapper
    native: dict[str, pa.Array] = {}
    faults: dict[int, tuple[str, str]] = {}
    for name in mapper.needed:
        kind = mapper.kinds[name]
        column = block.batch.column(block.columns[name])
        native[name], wrong, texts = _checked(kind, column)
        if wrong is not None:
            shown = texts.take(pa.array(wrong.rows)).cast(pa.string()).to_pylist()
            for row, reason, text in zip(wrong.rows.tolist(), wrong.reasons, shown, strict=True):
                faults.setdefault(row, (reason, explain(kind, name, text)))
    bad = sorted(faults)
    places = np.arange(rows)
    if bad:
        places = np.delete(places, bad)
        kept = pa.array(places)
        native = {name: column.take(kept) for name, column in native.items()}
    lineage = Lineage(block.uri, pa.array(places + block.first, pa.int64()))
    rejects = None
    if bad:
        raw = [json_bytes(row) for row in block.batch.take(pa.array(bad)).to_pylist()]
        rejects = reject_batch(
            block.uri,
            [block.first + row for row in bad],
            [faults[row][0] for row in bad],
            raw,
            details=[faults[row][1] for row in bad],
            decoder=decoder,
            version=version,
            layout=JSON_LAYOUT,
        )
    return Decoded(mapper.batch(native, len(places), lineage), rows, rejects)


def _checked(kind: FieldKind, column: pa.Array) -> tuple[pa.Array, Wrong | None, pa.Array]:
    """Give the checked form of a column of any type, what is wrong, and its texts for messages."""
    if kind == "time" and pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"), safe=False).view(pa.int64())
    if kind not in INTEGERS:
        texts = _null_texts(_texts(column))
        return *coerce(kind, texts), texts
    if pa.types.is_signed_integer(column.type) and not (pc.min(column).as_py() or 0) < 0:
        column = column.cast(pa.uint64())
    if not pa.types.is_unsigned_integer(column.type):
        column = _integer_texts(column)
    return *coerce(kind, column), column


def _integer_texts(column: pa.Array) -> pa.Array:
    """Give numbers that came as doubles or texts as plain digits where they are integers."""
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        numbers = np.asarray(values.fill_null(0.5))
        whole = (np.floor(numbers) == numbers) & (np.abs(numbers) <= _EXACT_DOUBLE)
        exact = pc.if_else(pa.array(whole), values, pa.scalar(None, pa.float64()))
        return pc.coalesce(exact.cast(pa.int64()).cast(pa.string()), values.cast(pa.string()))
    texts = _null_texts(_texts(column))
    values = pc.replace_substring_regex(texts.dictionary, r"^([0-9]+)\.0+$", r"\1")
    return recode(texts, values).cast(pa.string())


def _texts(column: pa.Array) -> pa.DictionaryArray:
    """Give any column as text; nested values as JSON."""
    if pa.types.is_floating(column.type):
        return _integer_texts(column).dictionary_encode().cast(TEXT)
    if pa.types.is_nested(column.type):
        words = [
            None if value is None else json_bytes(value).decode() for value in column.to_pylist()
        ]
        return pa.array(words, pa.string()).dictionary_encode()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        words = [None if value is None else value.decode("utf-8", "replace")
                 for value in column.to_pylist()]  # fmt: skip
        return pa.array(words, pa.string()).dictionary_encode()
    return as_text(column)


def _null_texts(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Make what stands for "not reported" null."""
    nothing = pc.is_in(column.dictionary, value_set=pa.array(_NULL_TEXTS, pa.string()))
    if not pc.any(nothing).as_py():
        return column
    return recode(column, pc.if_else(nothing, pa.scalar(None, pa.string()), column.dictionary))


def json_bytes(value: Any) -> bytes:
    """Write a row as JSON, whatever is in it."""
    return json.dumps(_plain(value), ensure_ascii=False, default=str).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
