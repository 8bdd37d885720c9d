"""The base of decoders of logs with one record a line."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Context, Decoded, Decoder, Payload, reject_batch
from ktrans.api.component import C
from ktrans.flow.columns import constant_text, flow_batch
from ktrans.flow.schema import project
from ktrans.kit.columns import fitted
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, Overlong, Torn, count_lines, line_bounds, whole_lines


@dataclass(slots=True)
class Parsed:
    """The result of `LineDecoder.parse`.

    Attributes:
        columns: flow columns by name, each as long as the lines; null where a line has no value.
        bad: which lines are no records (boolean, true means bad); None if all are good.
        reasons: a stable code a line, or one for all bad ones.
        details: the same for people, or None.
        skipped: which lines are no records by design (headers, comments); None if none.
    """

    columns: Mapping[str, pa.Array]
    bad: pa.Array | None = None
    reasons: pa.Array | str = "malformed"
    details: pa.Array | str | None = None
    skipped: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole lines and the 1-based number of the first; or a reject found while cutting."""

    uri: str
    data: bytes
    first: int
    refused: tuple[str, str] | None = None

    @property
    def nbytes(self) -> int:
        return len(self.data)


class LineDecoder(Decoder[C]):
    r"""Decodes logs of one record a line: inflates, cuts, counts and makes rejects.

    Compression is recognised by the first bytes (gzip, zstd, bzip2), lines end with LF or CRLF,
    blank lines are skipped, lines that are torn, too long or not UTF-8 are rejected.
    """

    def __init__(self, config: C, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._schema = project(None)

    @abc.abstractmethod
    def parse(self, lines: pa.StringArray) -> Parsed:
        """Turn lines (without their ends, none blank) into columns. Pure; any thread.

        By columns: pyarrow.compute over all lines at once. Texts may be plain strings, times any
        timestamp type, numbers any type that casts without loss.
        """

    @property
    def wanted(self) -> frozenset[str]:
        """The columns that later stages read; others need not be parsed."""
        return frozenset(self._schema.names)

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the flow schema, narrowed to `columns`."""
        self._schema = project(columns)
        return self._schema

    def blocks(self, payload: Payload) -> Iterator[_Block]:
        """Cut an object into blocks of whole lines."""
        inflater = Inflater(payload.open, self.context.limits, payload.uri)
        first = payload.first_line
        for piece in whole_lines(payload, inflater, self.context.limits):
            yield (block := self._block(payload, piece, first))
            first += _lines_in(block)

    def decode(self, block: _Block) -> Decoded:
        """Parse the lines of a block into rows, rejects and skipped ones."""
        if block.refused is not None:
            reason, detail = block.refused
            empty = flow_batch(self._schema, 0, {})
            position = pa.array([block.first])
            rejects = self._rejects(block.uri, position, [reason], [block.data], [detail])
            return Decoded(empty, 1, rejects)
        raw, total = _split(block.data)
        blank = np.asarray(pc.equal(pc.binary_length(raw), 0))
        valid = _valid_utf8(raw)
        usable = valid & ~blank
        positions = np.arange(block.first, block.first + total)
        lines = raw.filter(pa.array(usable)).cast(pa.string())
        parsed = self.parse(lines)
        bad = _mask(parsed.bad, len(lines), unknown=True)
        skipped = _mask(parsed.skipped, len(lines), unknown=False) & ~bad
        batch = self._batch(parsed, block.uri, positions[usable], ~(bad | skipped))
        rejects = self._bad_lines(block, raw, positions, valid, usable, parsed, bad)
        return Decoded(batch, total, rejects, int(blank.sum() + skipped.sum()))

    def _block(self, payload: Payload, piece: Lines | Overlong | Torn, first: int) -> _Block:
        if isinstance(piece, Lines):
            return _Block(payload.uri, piece.data, first)
        if isinstance(piece, Torn):
            why = piece.problem.reason, piece.problem.message
            return _Block(payload.uri, piece.data, first, why)
        allowed = self.context.limits.max_line_bytes
        detail = f"a line of {piece.length} bytes, where {allowed} are allowed"
        return _Block(payload.uri, piece.start, first, ("line_too_long", detail))

    def _batch(
        self, parsed: Parsed, uri: str, positions: np.ndarray, good: np.ndarray
    ) -> pa.RecordBatch:
        keep = None if good.all() else pa.array(good)
        columns: dict[str, pa.Array] = {}
        for field in self._schema:
            if field.name in parsed.columns:
                column = fitted(parsed.columns[field.name], field.type)
                columns[field.name] = column if keep is None else column.filter(keep)
        rows = int(good.sum())
        columns.setdefault("source_uri", constant_text(uri, rows))
        columns["source_pos"] = pa.array(positions[good], pa.int64())
        return flow_batch(self._schema, rows, columns)

    def _bad_lines(
        self,
        block: _Block,
        raw: pa.Array,
        positions: np.ndarray,
        valid: np.ndarray,
        usable: np.ndarray,
        parsed: Parsed,
        bad: np.ndarray,
    ) -> pa.RecordBatch | None:
        if valid.all() and not bad.any():
            return None
        fault = ~valid
        fault[np.flatnonzero(usable)[bad]] = True
        reasons = np.full(len(raw), "not_utf8", dtype=object)
        details = np.full(len(raw), None, dtype=object)
        reasons[usable] = _texts(parsed.reasons, len(bad))
        details[usable] = _texts(parsed.details, len(bad))
        return self._rejects(
            block.uri,
            pa.array(positions[fault]),
            reasons[fault].tolist(),
            raw.filter(pa.array(fault)),
            details[fault].tolist(),
        )

    def _rejects(
        self, uri: str, positions: Any, reasons: Any, raw: Any, details: Any
    ) -> pa.RecordBatch:
        return reject_batch(
            uri,
            positions,
            reasons,
            raw,
            details=details,
            decoder=self.config.type,
            version=self.version,
        )


def _lines_in(block: _Block) -> int:
    return count_lines(block.data) if block.refused is None else 1


def _split(data: bytes) -> tuple[pa.Array, int]:
    """Cut text into lines without their ends."""
    _, ends = line_bounds(data)
    offsets = np.concatenate([[0], ends + 1]).astype(np.int32)
    # Offsets include the line end, which is removed afterwards.
    buffer = pa.py_buffer(data + b"\n")
    lines = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), buffer])
    lines = pc.binary_slice(lines, 0, -1)
    if b"\r" in data:
        crlf = pc.equal(pc.binary_slice(lines, -1), b"\r")
        lines = pc.if_else(crlf, pc.binary_slice(lines, 0, -1), lines)
    return lines, len(ends)


def _valid_utf8(lines: pa.Array) -> np.ndarray:
    """Return which lines are UTF-8; checked one by one only if some are not."""
    try:
        lines.cast(pa.string())
    except pa.ArrowInvalid:
        return np.array([_decodes(line) for line in lines.to_pylist()])
    return np.ones(len(lines), dtype=bool)


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _mask(flags: pa.Array | None, rows: int, *, unknown: bool) -> np.ndarray:
    if flags is None:
        return np.zeros(rows, dtype=bool)
    return np.asarray(pc.fill_null(flags, unknown))


def _texts(values: pa.Array | str | None, rows: int) -> list[str | None]:
    return [values] * rows if values is None or isinstance(values, str) else values.to_pylist()
