"""Reads flow logs in the format of AWS: text and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import pyarrow as pa

from ktrans.api import Context, Payload
from ktrans.decoders import log_events
from ktrans.decoders.aws.layout import MIN_KNOWN, Dialect, Layout, field_names, parse_header
from ktrans.decoders.aws.parquet import JSON_LAYOUT, parquet_columns, stored_rows
from ktrans.decoders.aws.table import aws_table
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.head import HEAD_BYTES, first_bytes
from ktrans.decoders.frames.header_lines import HeaderFinder
from ktrans.decoders.frames.text import TextCutter
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.parquet import parquet_blocks
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.read.text_careful import read_carefully
from ktrans.decoders.read.text_fast import TextPlan, read_fast
from ktrans.decoders.rows import DecodedRows, RowBuilder
from ktrans.decoders.time_limits import TimeLimits
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import whole_lines
from ktrans.kit.text.magic import PARQUET_MAGIC


class AwsReader:
    """Reads one text log in the format of AWS into columns of a schema.

    `configured` is the layout of lines without a header.
    """

    def __init__(
        self, dialect: Dialect, configured: Layout | None, context: Context, schema: pa.Schema
    ) -> None:
        self.dialect = dialect
        self.context = context
        self.finder = HeaderFinder(dialect)
        self._noted: set[str] = set()
        self.configured = configured
        self.prepare(schema)

    def prepare(self, schema: pa.Schema) -> None:
        """Build the columns of this schema from now on."""
        self._schema = schema
        self._plans: dict[Layout, TextPlan] = {}
        self._builders: dict[tuple[str, ...], RowBuilder] = {}

    def blocks(self, payload: Payload) -> Iterator[Block]:
        """Cut an object into blocks; its form shows in its first bytes, not in its name."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        chunks = inflater.chunks()
        first = _first_bytes(chunks)
        if first.startswith(PARQUET_MAGIC) and inflater.codec == "plain":
            log = f"{self.dialect.log_type} flow logs"
            yield from parquet_blocks(payload, log, self._parquet_names, self.context.limits)
            return
        stream = chain([first], chunks) if first else chunks
        yield from self._text_blocks(payload, inflater, chunks=stream)

    def replay(self, payload: Payload, layout: str | None) -> Iterator[Block]:
        """Cut the raw bytes of rejects into blocks; their layout says how they were read."""
        if layout is None:
            yield from self.blocks(payload)
        elif layout == JSON_LAYOUT:
            with payload.open() as stream:
                yield from stored_rows(payload.uri, stream, self.dialect)
        else:
            inflater = Inflater(payload.open, self.context.limits, payload.uri)
            known = Layout(tuple(layout.split()))
            yield from self._text_blocks(payload, inflater, known)

    def _text_blocks(
        self,
        payload: Payload,
        inflater: Inflater,
        layout: Layout | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> Iterator[Block]:
        cutter = TextCutter(self, payload, layout or self._layout_of_head(payload))
        for piece in whole_lines(payload, inflater, self.context.limits, chunks):
            yield from cutter.take(piece)
        yield from cutter.end()

    def _layout_of_head(self, payload: Payload) -> Layout | None:
        """Return the layout of an object of which only a later part is read, from its first line."""
        if not payload.offset:
            return self.configured
        head = first_bytes(payload, of_object=True)
        return parse_header(head.partition(b"\n")[0], self.dialect) or self.configured

    def note_fields(self, names: Iterable[str]) -> None:
        """Log each field name that is not known, once."""
        new = [n for n in names if n not in self.dialect.by_name and n not in self._noted]
        self._noted.update(new)
        for name in new:
            self.context.log.warning(
                "%s: the field %s is not known; it is kept in attrs",
                self.dialect.name,
                name,
                extra={"event": log_events.FIELD_UNKNOWN, "field": name},
            )

    def layout_of(self, block: Block) -> str | None:
        """Return the fields of the lines, by which they are read again."""
        layout: Layout | dict[str, str] = block.layout
        return layout.text if isinstance(layout, Layout) else JSON_LAYOUT

    def rows(self, block: Block) -> DecodedRows:
        """Return the rows of a block of lines or of a Parquet file."""
        if block.table is not None:
            return self._parquet_rows(block)
        plan = self._plan(block.layout)
        if not plan.troubled and (rows := self._fast_rows(plan, block)) is not None:
            plan.trouble = 0
            return rows
        prefixed = self._plan(replace(block.layout, prefixed=True))
        bare = self._plan(replace(block.layout, prefixed=False))
        rows = read_carefully(prefixed, bare, block)
        again = rows.faults.lines or rows.unread or not plan.troubled
        plan.trouble = plan.trouble + 1 if again else 0
        return rows

    def _plan(self, layout: Layout) -> TextPlan:
        plan = self._plans.get(layout)
        if plan is None:
            plan = self._plans.setdefault(
                layout,
                TextPlan(layout, self.dialect, self._schema, TimeLimits.of(self.context.limits)),
            )
        return plan

    def _fast_rows(self, plan: TextPlan, block: Block) -> DecodedRows | None:
        """Return the rows of a block of good lines; None if it has to be read carefully."""
        raw = read_fast(plan, block)
        if raw is None:
            return None
        rows = plan.builder.converted(raw, block.uri)
        if not plan.builder.all_good(rows):
            return None
        batch = plan.builder.finished(rows, np.arange(block.first, block.first + block.records))
        return DecodedRows(batch, Faults())

    def _builder(self, names: tuple[str, ...]) -> RowBuilder:
        builder = self._builders.get(names)
        if builder is None:
            builder = RowBuilder(
                aws_table(self.dialect, names), self._schema, TimeLimits.of(self.context.limits)
            )
            self._builders[names] = builder
        return builder

    def _parquet_names(self, schema: pa.Schema) -> tuple[list[str], dict[str, str]]:
        """Return the columns of a Parquet file to read, and the column of each field."""
        columns = field_names(schema.names, self.dialect)
        known = sum(name in self.dialect.by_name for name in columns)
        if known < MIN_KNOWN or self.dialect.what_lacks(list(columns)):
            return [], columns
        self.note_fields(columns)
        needed = self._needed(columns)
        return list(needed.values()) or [next(iter(columns.values()))], columns

    def _needed(self, columns: dict[str, str]) -> dict[str, str]:
        builder = self._builder(tuple(columns))
        return {field: name for field, name in columns.items() if builder.needs((field,))}

    def _parquet_rows(self, block: Block) -> DecodedRows:
        by_name = self.dialect.by_name
        kinds = {f: by_name[f].kind if f in by_name else "text" for f in block.layout}
        columns = parquet_columns(block.table, self._needed(block.layout), kinds)
        raw = RawColumns(block.records, None, columns)
        return self._builder(tuple(block.layout)).build(raw, block.uri, block.first)


def _first_bytes(chunks: Iterator[bytes]) -> bytes:
    """Read enough of a stream to recognise its form."""
    first = b""
    for piece in chunks:
        first += piece
        if len(first) >= HEAD_BYTES or len(first.strip()) >= len(PARQUET_MAGIC) * 2:
            break
    return first
