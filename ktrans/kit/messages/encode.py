"""Turns rows into messages, by columns: each row's text, or several rows together as small files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError, Format, Refused
from ktrans.kit.buffered_sink import Kept
from ktrans.kit.columns import option, require
from ktrans.kit.rows.pieces import text_bytes
from ktrans.kit.rows.row_format import TextFormat
from ktrans.kit.rows.scalars import is_binary, is_scalar, scalar_text

DATA = "data"
ROWS = "rows"
_FIXED = [(DATA, pa.large_binary()), (ROWS, pa.int32())]
_SEPARATOR = "|"
_UNPACKED = 1000
_compute: Any = pc

TextOf = Callable[[pa.RecordBatch], pa.Array]
"""A function that returns a text for each row (`string`), null where there is none."""


@dataclass(frozen=True, slots=True)
class MessageEncoder:
    """How rows become messages.

    Attributes:
        format: of the data.
        max_bytes: of a message, its texts included. Rows that need more are refused.
        rows_per_message: the most rows of a message; with more than one there are no texts.
        texts: what a message has beside its data, by name: a key, a subject, attributes.
        max_text_bytes: of one of these texts; None for no limit.
        line_ends: whether the data of a single row keeps its line end.
        text_limits: of texts that have another limit, by name.
    """

    format: Format[Any]
    max_bytes: int
    rows_per_message: int = 1
    texts: Mapping[str, TextOf] = field(default_factory=dict)
    max_text_bytes: int | None = None
    line_ends: bool = False
    text_limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The schema of messages: `data`, how many `rows` it holds, and the texts."""
        return pa.schema([*_FIXED, *((name, pa.string()) for name in self.texts)])

    def bind(self, schema: pa.Schema) -> None:
        """Take the schema of the rows.

        Raises:
            ConfigError: the format cannot store them, or has no text for each row.
        """
        if self.rows_per_message == 1 and not isinstance(self.format, TextFormat):
            raise ConfigError(
                f"{self.format.config.type} makes files, not a text for each row",
                field="format",
                code="format_not_supported",
                hint="take jsonl, csv or influx, or set rows_per_message to more than 1",
            )
        self.format.bind(schema)

    def encode(self, batch: pa.RecordBatch) -> Kept:
        """Return the messages of a batch, and the rows that no message can hold. Pure."""
        if self.rows_per_message == 1:
            return self._by_row(batch)
        if isinstance(self.format, TextFormat):
            return self._by_text(self.format, batch)
        return self._by_file(batch)

    def _by_row(self, batch: pa.RecordBatch) -> Kept:
        assert isinstance(self.format, TextFormat)
        data = _joined(self.format.texts(batch))
        if not self.line_ends:
            data = _compute.binary_slice(data, 0, -1)
        texts = [text(batch) for text in self.texts.values()]
        sizes = lengths(data)
        long = np.zeros(len(sizes), np.bool_)
        longest, allowed = 0, 0
        for name, each in zip(self.texts, map(lengths, texts), strict=True):
            sizes = sizes + each
            limit = self.text_limits.get(name, self.max_text_bytes)
            if limit is not None and (each > limit).any():
                long |= each > limit
                longest, allowed = int(each.max()), limit
        large = sizes > self.max_bytes
        long &= ~large
        refused = []
        if large.any():
            refused.append(self._too_large(batch.filter(pa.array(large)), int(sizes.max())))
        if long.any():
            detail = f"an attribute, key or name of up to {longest} bytes; {allowed} are allowed"
            refused.append(Refused(batch.filter(pa.array(long)), "attribute_too_long", detail))
        made = self._messages(data, np.ones(len(data), np.int32), texts)
        if refused:
            made = made.filter(pa.array(~(large | long)))
        return Kept(made, made.num_rows, refused)

    def _by_text(self, made: TextFormat[Any], batch: pa.RecordBatch) -> Kept:
        """Join the texts of consecutive rows, behind the format's header."""
        header = made.header()
        sizes = lengths(_joined(texts := made.texts(batch)))
        large = sizes > self.max_bytes - len(header)
        if large.any():
            size = len(header) + int(sizes.max())
            kept = self._by_text(made, batch.filter(pa.array(~large)))
            refused = [self._too_large(batch.filter(pa.array(large)), size), *kept.refused]
            return Kept(kept.batch, kept.rows, refused)
        data: list[bytes] = []
        counts: list[int] = []
        for text in texts:
            whole = text_bytes(text)
            ends = np.concatenate([[0], np.cumsum(lengths(text))]).tolist()
            limit = self.max_bytes - len(header)
            for start, end in spans(lengths(text), self.rows_per_message, limit):
                data.append(header + whole[ends[start] : ends[end]])
                counts.append(end - start)
        return self._several(data, counts, [])

    def _by_file(self, batch: pa.RecordBatch) -> Kept:
        """Make a file of each slice of rows; slices that are too large are halved."""
        data: list[bytes] = []
        counts: list[int] = []
        refused: list[Refused] = []
        waiting = [
            (start, min(self.rows_per_message, batch.num_rows - start))
            for start in range(0, batch.num_rows, self.rows_per_message)
        ][::-1]
        while waiting:
            start, count = waiting.pop()
            rows = batch.slice(start, count)
            file = self._file(rows)
            if len(file) <= self.max_bytes:
                data.append(file)
                counts.append(count)
            elif count == 1:
                refused.append(self._too_large(rows, len(file)))
            else:
                half = count // 2
                waiting += [(start + half, count - half), (start, half)]
        return self._several(data, counts, refused)

    def _several(self, data: list[bytes], counts: list[int], refused: list[Refused]) -> Kept:
        none = [pa.nulls(len(data), pa.string()) for _ in self.texts]
        made = self._messages(pa.array(data, pa.large_binary()), counts, none)
        return Kept(made, sum(counts), refused)

    def _messages(self, data: pa.Array, counts: Any, texts: Sequence[pa.Array]) -> pa.RecordBatch:
        arrays = [data, pa.array(counts, pa.int32()), *texts]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _file(self, rows: pa.RecordBatch) -> bytes:
        stream = io.BytesIO()
        writer = self.format.open(stream)
        writer.write(self.format.encode(rows))
        writer.finish()
        return stream.getvalue()

    def _too_large(self, rows: pa.RecordBatch, size: int) -> Refused:
        detail = f"a message of up to {size} bytes; {self.max_bytes} are allowed"
        return Refused(rows, "message_too_large", detail)


def unpack(batch: pa.RecordBatch) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Return the data and the texts of each message; texts that are null are left out.

    By row, since clients of queues take messages one by one.
    """
    names = [name for name in batch.schema.names if name not in (DATA, ROWS)]
    for start in range(0, batch.num_rows, _UNPACKED):
        part = batch.slice(start, _UNPACKED)
        data = part.column(DATA).to_pylist()
        values = [part.column(name).to_pylist() for name in names]
        rows = zip(*values, strict=True) if names else iter([()] * len(data))
        for content, texts in zip(data, rows, strict=True):
            pairs = zip(names, texts, strict=True)
            yield content, {name: text for name, text in pairs if text is not None}


def spans(sizes: np.ndarray, most: int, most_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut consecutive items into spans of at most so many items and bytes.

    An item that is larger has a span of its own.

    >>> list(spans(np.array([4, 4, 4, 20, 1, 1, 1]), 2, 10))
    [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]
    """
    ends = np.cumsum(sizes)
    start = before = 0
    while start < len(ends):
        end = int(np.searchsorted(ends, before + most_bytes, side="right"))
        end = max(start + 1, min(end, start + most))
        yield start, end
        start, before = end, int(ends[end - 1])


def column_text(columns: str | Sequence[str]) -> TextOf:
    """Return a function for the text of a column, or of several columns with | between them.

    The text is null where all columns are null.
    """
    names = [columns] if isinstance(columns, str) else list(columns)

    def text(batch: pa.RecordBatch) -> pa.Array:
        parts = [scalar_text(batch.column(name)) for name in names]
        if len(parts) == 1:
            return parts[0]
        joined = _compute.binary_join_element_wise(
            *parts, pa.scalar(_SEPARATOR), null_handling="replace", null_replacement=""
        )
        absent = parts[0].is_null()
        for part in parts[1:]:
            absent = _compute.and_(absent, part.is_null())
        return _compute.if_else(absent, pa.scalar(None, pa.string()), joined)

    return text


def check_text_column(schema: pa.Schema, column: str, name: str, what: str) -> None:
    """Check whether a column can be an attribute or a key, as the option `name` of `what` says.

    Raises:
        ConfigError: it is missing, or its values have no plain text.
    """
    with option(name):
        require(schema, [column], what)
        kind = schema.field(column).type
        if not is_scalar(kind) or is_binary(kind):
            raise ConfigError(
                f"column {column!r} of type {kind} cannot be an attribute or a key",
                code="type_not_supported",
                hint="take a text, number, boolean or time column",
            )


def lengths(array: pa.Array) -> np.ndarray:
    """Return the bytes of each text, 0 for null: int64, shape (rows,)."""
    return np.asarray(_compute.binary_length(array).fill_null(0).cast(pa.int64()))


def _joined(texts: Sequence[pa.Array]) -> pa.Array:
    parts = [part.cast(pa.large_binary()) for part in texts]
    return pa.concat_arrays(parts or [pa.nulls(0, pa.large_binary())])
