"""Turns a block of records into rows and rejects, by a function that reads the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ktrans.api import Decoded
from ktrans.decoders.flow_rule import added
from ktrans.decoders.frames.block import Block
from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.ragged import part_lines
from ktrans.decoders.rows import DecodedRows, joined
from ktrans.flow.columns import flow_batch

ReadRows = Callable[[Block], DecodedRows]


def decode_block(
    block: Block, schema: pa.Schema, read: ReadRows, layout_of: Callable[[Block], Any], *by: str
) -> Decoded:
    """Return the rows and rejects of a block.

    Args:
        block: the records.
        schema: of the rows.
        read: returns the rows of a block that has records.
        layout_of: returns the layout that a replay of a block's bad records needs.
        by: type and version of the decoder.
    """
    if block.records:
        rows = _bounded_rows(block, schema, read)
    else:
        rows = DecodedRows(flow_batch(schema, 0, {}), Faults())
    bad = block.bad_records(rows.faults, layout_of(block)) if rows.faults.lines else []
    rejects = block.rejects(bad, *by)
    return Decoded(
        rows.batch,
        block.total,
        rejects,
        block.skipped + rows.skipped,
        added(block.foreign, rows.foreign),
        dict(rows.unread),
    )


def _bounded_rows(block: Block, schema: pa.Schema, read: ReadRows) -> DecodedRows:
    """Return the rows of a block; of records with names that do not repeat, by small parts."""
    if "attrs" not in schema.names or not block.data.startswith(b"{"):
        return read(block)
    size = part_lines(block.data, block.records)
    if size >= block.records:
        return read(block)
    parts = [read(part) for part in block.parts(size)]
    for number, part in enumerate(parts):
        part.faults.lines = [line + number * size for line in part.faults.lines]
    return joined(parts)
