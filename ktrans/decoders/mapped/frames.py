"""How the records of a log are stored in an object, as a log declares it."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from ktrans.api import Limits, Payload, RejectError
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.csv import NO_TOP, DelimitedLayout, Top, cut_csv
from ktrans.decoders.frames.head import first_bytes
from ktrans.decoders.frames.json import cut_json
from ktrans.decoders.frames.zeek import Header, cut_zeek, header_of
from ktrans.decoders.read.csv import Dialect
from ktrans.decoders.read.key_value import KeyValueLayout
from ktrans.decoders.read.raw_columns import Path

_PARQUET = b"PAR1"
_CSV = Dialect(",", '"', ("", "-"))
_SHOWN = 80
_NOT_RECORDS = b"\xef\xbb\xbf \t\r\n"


def _is_json(head: bytes) -> bool:
    return head.lstrip(_NOT_RECORDS)[:1] in (b"{", b"[")


class Frame(abc.ABC):
    """How the records of a log are stored.

    Attributes:
        json: whether records may be JSON objects.
        lines: whether each line is one record.
    """

    json: ClassVar[bool] = False
    lines: ClassVar[bool] = True

    def accepts(self, head: bytes) -> bool:
        """Return whether an object's first bytes look like this frame: by default, like text."""
        return not _is_json(head) and not head.startswith(_PARQUET)

    @abc.abstractmethod
    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks."""

    def replay(self, payload: Payload, limits: Limits, layout: str) -> Iterator[Block]:
        """Cut the raw bytes of rejects into blocks, one record a line, by their layout."""
        del layout
        return self.blocks(payload, limits)


@dataclass(frozen=True)
class Json(Frame):
    """JSON objects: one a line, one after the other, in an array, or in an array of a document.

    Attributes:
        arrays: paths of the arrays that hold the records of a document.
    """

    json: ClassVar[bool] = True
    arrays: tuple[Path, ...] = ()

    def accepts(self, head: bytes) -> bool:
        """Return whether an object's first bytes look like JSON."""
        return _is_json(head)

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks of one record a line."""
        return cut_json(payload, limits, unwrap=self.arrays)


@dataclass(frozen=True)
class Parquet(Frame):
    """Rows of Parquet files, whose nested columns are read like JSON objects."""

    def accepts(self, head: bytes) -> bool:
        """Return whether an object's first bytes are those of a Parquet file."""
        return head.startswith(_PARQUET)

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Raise an error: what to read of a Parquet file depends on the columns that are wanted."""
        raise NotImplementedError


@dataclass(frozen=True)
class Delimited(Frame):
    """Lines of delimited values: CSV, TSV, values between blanks.

    Attributes:
        dialect: how the values are separated.
        names: names of the columns in order; None takes them from the first line.
        header: whether the first line names the columns; with `names`, these replace it.
        skip_lines: how many lines to skip at the top of an object.
        mapped: names of columns of which a header line has at least one.
    """

    dialect: Dialect = _CSV
    names: tuple[str, ...] | None = None
    header: bool = True
    skip_lines: int = 0
    mapped: frozenset[str] = frozenset()

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks of whole lines.

        Raises:
            RejectError: the header line names no column that is mapped.
        """
        layout = self._layout(self.names or ())
        read = partial(self._of_header, payload.uri)
        top = Top(read, self.skip_lines, self.dialect.comments)
        if not self.header:
            top = replace(top, header=None)
        elif payload.offset:
            if self.names is None:
                head = first_bytes(payload, of_object=True)
                head = head if b"\n" in head else head.replace(b"\r", b"\n")
                _, _, line = top.ends(head, self.skip_lines)
                layout = layout if line is None else read(line)
            top = NO_TOP
        return cut_csv(payload, limits, layout, top)

    def replay(self, payload: Payload, limits: Limits, layout: str) -> Iterator[Block]:
        """Cut rejected lines into blocks, by the names of their columns."""
        return cut_csv(payload, limits, self._layout(tuple(json.loads(layout))))

    def _layout(self, names: tuple[str, ...]) -> DelimitedLayout:
        return DelimitedLayout(names, self.dialect, json.dumps(names) if names else None)

    def _of_header(self, uri: str, line: bytes) -> DelimitedLayout:
        if self.names is not None:
            return self._layout(self.names)
        names = self._names(line)
        if self.mapped and not self.mapped & set(names):
            raise RejectError(
                f"{uri}: the first line names none of the columns that are mapped "
                f"({', '.join(sorted(self.mapped))}); it begins with {line[:_SHOWN]!r}",
                code="no_header",
                hint=(
                    "if the text has no header line, name its columns in order: `columns: [...]`; "
                    "if there are lines before the header: `skip_lines` or `comments`"
                ),
            )
        return self._layout(names)

    def _names(self, line: bytes) -> tuple[str, ...]:
        """Return the names in a header line; a name that is there twice gets a number."""
        text = line.rstrip(b"\r").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        text = " ".join(text.split()) if self.dialect.spaced else text
        names: list[str] = []
        for name in self.dialect.split(text) or []:
            bare = name.strip()
            names.append(bare if bare not in names else f"{bare}.{len(names) + 1}")
        return tuple(names)


@dataclass(frozen=True)
class KeyValue(Frame):
    """Lines of key=value pairs.

    Attributes:
        layout: how the pairs are written.
        skip_lines: how many lines to skip at the top of an object.
    """

    layout: KeyValueLayout
    skip_lines: int = 0

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks of whole lines."""
        return cut_csv(payload, limits, self.layout, Top(skip_lines=self.skip_lines))

    def replay(self, payload: Payload, limits: Limits, layout: str) -> Iterator[Block]:
        """Cut rejected lines into blocks."""
        del layout
        return cut_csv(payload, limits, self.layout)


@dataclass(frozen=True)
class ZeekText(Frame):
    """Lines of tab-separated values below Zeek's header lines.

    Attributes:
        path: the name of the log, as in the header line `#path`.
    """

    path: str

    def accepts(self, head: bytes) -> bool:
        """Return whether an object's first bytes are a header line."""
        return head.lstrip(_NOT_RECORDS).startswith(b"#")

    def blocks(self, payload: Payload, limits: Limits) -> Iterator[Block]:
        """Cut an object into blocks of whole lines."""
        header = header_of(first_bytes(payload, of_object=True)) if payload.offset else Header()
        return cut_zeek(payload, limits, self.path, header)

    def replay(self, payload: Payload, limits: Limits, layout: str) -> Iterator[Block]:
        """Cut rejected lines into blocks, by the header lines that are their layout."""
        return cut_zeek(payload, limits, self.path, Header().followed_by(layout))
