"""Reads lines of key=value pairs into columns by key, with array operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.read.faults import Faults
from ktrans.decoders.read.quotes import quoted
from ktrans.decoders.read.raw_columns import Path, RawColumns
from ktrans.kit.text.lines import line_bounds, not_utf8

PREFIX, WORDS = "_prefix", "_words"
"""Names of what has no key: the text before the first pair, and the words behind it."""

_NEWLINE, _CR = ord("\n"), ord("\r")
_BLANKS = np.array([ord(" "), ord("\t")], np.uint8)
_OPEN = "a quote opens that does not close in this line: a record is one line"


@dataclass(frozen=True, slots=True)
class KeyValueLayout:
    """How pairs are written.

    Attributes:
        delimiter: between pairs; a space stands for any run of blanks.
        separator: between key and value.
        quote: around values that hold a delimiter, or None.
        nulls: texts that mean "not reported".
        comments: beginnings of lines that are no records.
        text: says in a reject that its line is read so.
    """

    delimiter: str = " "
    separator: str = "="
    quote: str | None = '"'
    nulls: tuple[str, ...] = ("", "-")
    comments: tuple[str, ...] = ()
    text: str = "key_value"


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The pairs and words of a block.

    Attributes:
        lines: the line of each.
        starts: where each begins.
        ends: where each ends.
        cuts: where the separator is; the end if there is none.
    """

    lines: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    cuts: np.ndarray


class KeyValueParser:
    """Reads blocks of one layout.

    Args:
        layout: how pairs are written.
        needed: keys to read; None reads all.
    """

    def __init__(self, layout: KeyValueLayout, needed: frozenset[str] | None) -> None:
        self._layout = layout
        self._needed = needed
        self._comments = tuple(text.encode() for text in layout.comments)

    def read(self, data: bytes) -> tuple[RawColumns, int]:
        """Read lines.

        Returns:
            The columns, and how many blank and comment lines there were.
        """
        faults = Faults()
        starts, ends = line_bounds(data)
        left_out = self._left_out(data, starts, ends)
        bad = np.zeros(len(starts), dtype=bool)
        for line, _ in not_utf8(data, starts, ends):
            if not left_out[line]:
                bad[line] = True
                faults.add(line, "bad_record", "not UTF-8")
        tokens, odd = self._tokens(np.frombuffer(data, np.uint8), starts, ends)
        paired = np.zeros(len(starts), dtype=bool)
        paired[tokens.lines[tokens.cuts < tokens.ends]] = True
        for mask, detail in ((odd, _OPEN), (~paired, "there is no key with a value")):
            for line in np.flatnonzero(mask & ~bad & ~left_out).tolist():
                faults.add(line, "bad_record", detail)
            bad |= mask
        kept = np.flatnonzero(~bad & ~left_out)
        rows = np.full(len(starts), -1, dtype=np.int64)
        rows[kept] = np.arange(len(kept))
        columns = dict(self._columns(data, tokens, starts, rows, len(kept)))
        lines = None if len(kept) == len(starts) else kept
        return RawColumns(len(kept), lines, columns, faults), int(np.count_nonzero(left_out))

    def _left_out(self, data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Mark blank lines and comments."""
        mask: np.ndarray = ends == starts
        content = np.frombuffer(data, np.uint8)
        blank = np.isin(content[starts[~mask]], np.append(_BLANKS, _CR))
        for line in np.flatnonzero(~mask)[blank].tolist():
            mask[line] = not data[starts[line] : ends[line]].strip()
        mask |= comment_lines(data, starts, self._comments)
        return mask

    def _tokens(
        self, content: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> tuple[_Tokens, np.ndarray]:
        """Find the pairs and words, and the lines in which a quote does not close."""
        layout = self._layout
        odd = np.zeros(len(starts), dtype=bool)
        inside = None
        if layout.quote is not None and (content == ord(layout.quote)).any():
            inside, odd = quoted(content, starts, ends, ord(layout.quote))
        blanks = np.isin(content, _BLANKS)
        borders = blanks if layout.delimiter == " " else content == ord(layout.delimiter)
        cuts = content == ord(layout.separator)
        if inside is not None:
            borders, cuts = borders & ~inside, cuts & ~inside
        borders = borders | (content == _NEWLINE) | (content == _CR)
        changes = np.diff(np.concatenate([[True], borders, [True]]).astype(np.int8))
        begin, end = np.flatnonzero(changes == -1), np.flatnonzero(changes == 1)
        if layout.delimiter != " ":
            begin, end = _trimmed(begin, end, blanks)
        places = np.append(np.flatnonzero(cuts), len(content))
        cut = np.minimum(places[np.searchsorted(places, begin)], end)
        cut = np.where(cut == begin, end, cut)
        lines = np.searchsorted(starts, begin, side="right") - 1
        return _Tokens(lines, begin, end, cut), odd

    def _columns(
        self, data: bytes, tokens: _Tokens, starts: np.ndarray, rows: np.ndarray, count: int
    ) -> Iterator[tuple[Path, pa.Array]]:
        """Yield a column for each key; of a key that is there twice the first value counts."""
        content = np.frombuffer(data, np.uint8)
        row = rows[tokens.lines]
        paired = np.flatnonzero((tokens.cuts < tokens.ends) & (row >= 0))
        names = _texts(content, tokens.starts[paired], tokens.cuts[paired]).dictionary_encode()
        codes = np.asarray(names.indices)
        order = np.argsort(codes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
        keys = names.dictionary.to_pylist()
        for group in groups:
            key = keys[codes[group[0]]].strip()
            if self._needed is None or key in self._needed:
                _, first = np.unique(row[paired[group]], return_index=True)
                yield (key,), self._column(content, tokens, paired[group[first]], row, count)
        yield from self._keyless(content, tokens, starts, row, count)

    def _column(
        self, content: np.ndarray, tokens: _Tokens, chosen: np.ndarray, row: np.ndarray, count: int
    ) -> pa.Array:
        """Return the values of some pairs as a column."""
        begin, end = tokens.cuts[chosen] + 1, tokens.ends[chosen].copy()
        quote = self._layout.quote
        if quote is not None:
            long = end - begin > 1
            within = np.where(long, begin, 0)
            framed = long & (content[within] == ord(quote)) & (content[end - 1] == ord(quote))
            begin, end = begin + framed, end - framed
        values = _texts(content, begin, end)
        if quote is not None and pc.any(pc.match_substring(values, f"\\{quote}")).as_py():
            values = pc.replace_substring(values, f"\\{quote}", quote)
        if self._layout.delimiter != " ":
            values = pc.utf8_trim_whitespace(values)
        nothing = pc.is_in(values, value_set=pa.array(self._layout.nulls, pa.string()))
        values = pc.if_else(nothing, pa.scalar(None, pa.string()), values)
        return _spread(values, row[chosen], count)

    def _keyless(
        self, content: np.ndarray, tokens: _Tokens, starts: np.ndarray, row: np.ndarray, count: int
    ) -> Iterator[tuple[Path, pa.Array]]:
        """Yield the text before the first pair of each line, and the words behind it."""
        is_pair = tokens.cuts < tokens.ends
        pairs = np.flatnonzero(is_pair & (row >= 0))
        held, first = np.unique(row[pairs], return_index=True)
        first = pairs[first]
        begin = starts[tokens.lines[first]]
        filled = np.flatnonzero(tokens.starts[first] > begin)
        if len(filled) and self._wants(PREFIX):
            texts = _texts(content, begin[filled], tokens.starts[first[filled]])
            texts = pc.utf8_trim_whitespace(texts)
            texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
            yield (PREFIX,), _spread(texts, held[filled], count)
        if not len(first) or is_pair.all() or not self._wants(WORDS):
            return
        opens = np.zeros(count, dtype=np.int64)
        opens[held] = first
        loose = np.flatnonzero(~is_pair & (row >= 0))
        loose = loose[loose > opens[row[loose]]]
        if len(loose):
            words = _texts(content, tokens.starts[loose], tokens.ends[loose])
            lines, bounds = np.unique(row[loose], return_index=True)
            lists = pa.ListArray.from_arrays(pa.array([*bounds, len(loose)], pa.int32()), words)
            yield (WORDS,), _spread(pc.binary_join(lists, " "), lines, count)

    def _wants(self, name: str) -> bool:
        return self._needed is None or name in self._needed


def comment_lines(data: bytes, starts: np.ndarray, comments: tuple[bytes, ...]) -> np.ndarray:
    """Mark the lines that begin with one of some texts."""
    mask = np.zeros(len(starts), dtype=bool)
    first = np.frombuffer(data, np.uint8)[starts]
    for text in comments:
        for line in np.flatnonzero(first == text[0]).tolist():
            mask[line] |= data.startswith(text, starts[line])
    return mask


def _trimmed(
    begin: np.ndarray, end: np.ndarray, blanks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Drop the blanks at both ends of each token."""
    filled = np.flatnonzero(np.append(~blanks, True))
    begin = filled[np.searchsorted(filled, begin)]
    last = filled[np.maximum(np.searchsorted(filled, end) - 1, 0)] + 1
    kept = begin < end
    return begin[kept], np.minimum(last, end)[kept]


def _texts(content: np.ndarray, begin: np.ndarray, end: np.ndarray) -> pa.StringArray:
    """Return parts of a text as an array."""
    lengths = end - begin
    offsets = np.zeros(len(begin) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    places = np.repeat(begin - offsets[:-1], lengths) + np.arange(offsets[-1])
    buffers = pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(content[places]))
    return pa.StringArray.from_buffers(len(begin), *buffers)


def _spread(values: pa.Array, rows: np.ndarray, count: int) -> pa.Array:
    """Return a column with some values at their rows, and null elsewhere."""
    places = np.full(count, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    return values.take(pa.array(places, mask=places < 0))
