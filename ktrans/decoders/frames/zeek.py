r"""Cuts Zeek's tab-separated logs into blocks: lines that begin with `#` describe those below them.

    #separator \x09
    #empty_field	(empty)
    #unset_field	-
    #path	conn
    #fields	ts	uid	id.orig_h	...

Logs that were joined have such lines again in the middle, so the layout may change within an object.

Source: Zeek documentation, "Zeek Log Formats and Inspection".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ktrans.api import Limits, Payload
from ktrans.decoders.flow_rule import record_name
from ktrans.decoders.frames.block import Block, refused_lines
from ktrans.decoders.frames.csv import DelimitedLayout, refused_piece
from ktrans.decoders.read.csv import Dialect
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import Lines, count_lines, whole_lines

_HEX = re.compile(r"\\x([0-9a-fA-F]{2})")
_BOM = b"\xef\xbb\xbf"
_SEPARATOR = "#separator "
_NO_FIELDS = "there is no header line #fields before this line"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header lines so far say about the lines below them.

    Attributes:
        separator: between values.
        values: the values of each header line, by its name.
    """

    separator: str = "\t"
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def followed_by(self, text: str) -> Header:
        """Return the header after more header lines; `#separator` begins a new one."""
        separator, values = self.separator, dict(self.values)
        for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n"):
            if line.startswith(_SEPARATOR):
                escaped = line.removeprefix(_SEPARATOR)
                separator, values = _HEX.sub(lambda hit: chr(int(hit[1], 16)), escaped), {}
            else:
                name, *found = line.split(separator)
                values[name] = tuple(found)
        return Header(separator, values)

    def first(self, name: str, default: str) -> str:
        """Return the first value of a header line, or a default."""
        return next(iter(self.values.get(name, ())), default)

    def layout(self) -> DelimitedLayout | None:
        """Return the layout of the lines below; None if their columns have no names."""
        names = self.values.get("#fields")
        if not names:
            return None
        nulls = (self.first("#unset_field", "-"), self.first("#empty_field", "(empty)"))
        escaped = "".join(f"\\x{ord(character):02x}" for character in self.separator)
        kept = ("#empty_field", "#unset_field", "#path", "#fields")
        lines = [
            self.separator.join((name, *self.values[name])) for name in kept if name in self.values
        ]
        text = "\n".join([f"{_SEPARATOR}{escaped}", *lines])
        return DelimitedLayout(names, Dialect(self.separator, None, nulls), text)


def header_of(data: bytes) -> Header:
    """Return the header of an object by its first bytes."""
    header = Header()
    for is_header, lines in _runs(data.removeprefix(_BOM)):
        if is_header:
            header = header.followed_by(lines.decode("utf-8", "replace"))
    return header


def cut_zeek(payload: Payload, limits: Limits, path: str, header: Header) -> Iterator[Block]:
    """Cut an object into blocks; records below the header of another log are skipped.

    Args:
        payload: the object.
        limits: sizes of blocks and lines.
        path: the name of the log, as in the header line `#path`.
        header: of the first lines, if it is known.

    Raises:
        TruncatedError: the stream ends early and may still grow (`payload.final_attempt`).
    """
    inflater = Inflater(payload.open, limits, payload.uri)
    place, skipped = payload.first_line, 0
    for piece in whole_lines(payload, inflater, limits):
        layout = header.layout()
        if not isinstance(piece, Lines):
            text = None if layout is None else layout.text
            yield refused_piece(payload.uri, piece, place, text, limits)
            place += 1
            continue
        data = piece.data.removeprefix(_BOM) if place == 1 else piece.data
        for is_header, run in _runs(data):
            lines = count_lines(run)
            if is_header:
                header = header.followed_by(run.decode("utf-8", "replace"))
                layout = header.layout()
                skipped += lines
            elif (other := header.first("#path", path)) != path:
                foreign = {record_name("#path", other): lines}
                yield Block(payload.uri, place, skipped=skipped + lines, foreign=foreign)
                skipped = 0
            elif layout is None:
                yield refused_lines(payload.uri, place, run, _NO_FIELDS, skipped)
                skipped = 0
            else:
                yield Block(payload.uri, place, lines, run, layout=layout, skipped=skipped)
                skipped = 0
            place += lines
    if skipped:
        yield Block(payload.uri, place, skipped=skipped)


def _runs(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """Yield header lines and other lines in turn, with whether they are header lines."""
    place = 0
    while place < len(data):
        is_header = data.startswith(b"#", place)
        end = place
        while is_header and data.startswith(b"#", end):
            end = (data.find(b"\n", end) + 1) or len(data)
        if not is_header:
            end = (data.find(b"\n#", place) + 1) or len(data)
        yield is_header, data[place:end]
        place = end
