"""Layouts of AWS text logs: the order of the fields, from a header line or a configured format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ktrans.decoders.aws.fields import VPC_FIELDS, Field
from ktrans.decoders.names import COLUMN_OF, plain_name, shown

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*$")
_AWS_NAMES = frozenset(plain_name(known.name) for known in VPC_FIELDS)
"""Names that are never another name of something: a log that lacks such a field does not have it."""
_RFC3339 = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$")
MIN_KNOWN = 2
"""A table has at least so many known fields."""
_INDEX_COLUMN = "__index_level_"
MAX_HEADER_BYTES = 64 << 10

LOGGED_AT = "@logged-at"
"""The name, within ktrans, of the time that a CloudWatch export puts before each line."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One kind of text log in the format of AWS.

    Attributes:
        name: the type of its decoder.
        log_type: value of the log_type column.
        fields: all fields that are known.
        default: the format that AWS uses unless told otherwise.
        guess: returns which rows are surely of the default format, from their columns, so that no
            header is needed; the number of fields is right already.
        guess_fields: the fields that `guess` looks at.
        provider: value of the provider column.
        null_values: what is printed where there is nothing to report.
    """

    name: str
    log_type: str
    fields: tuple[Field, ...]
    default: tuple[str, ...]
    guess: Callable[[Mapping[str, Any]], np.ndarray]
    guess_fields: tuple[str, ...]
    provider: str = "aws"
    null_values: tuple[str, ...] = ("-",)
    by_name: dict[str, Field] = field(init=False, compare=False, repr=False)
    spelled: dict[str, str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {known.name: known for known in self.fields})
        of_column = {known.column: known.name for known in self.fields if known.column}
        spelled = {
            name: of_column[column]
            for name, column in COLUMN_OF.items()
            if column in of_column and name not in _AWS_NAMES
        }
        spelled |= {plain_name(known.name): known.name for known in self.fields}
        object.__setattr__(self, "spelled", spelled)

    def native_name(self, token: str) -> str:
        """Return the name of a field as AWS writes it in text, whatever tool has written it."""
        return self.spelled.get(plain_name(token)) or token.lower().replace("_", "-")

    def what_lacks(self, names: Sequence[str]) -> str:
        """Return what a table of these fields lacks to be one of flows, for people; "" if nothing.

        Times may be missing where nothing else could be them: then the log was made without.
        """
        for side in ("src", "dst"):
            if not {f"{side}addr", f"pkt-{side}addr"} & set(names):
                return f"it names neither {side}addr nor pkt-{side}addr; it has {shown(names)}"
        unknown = [name for name in names if name not in self.by_name and name != LOGGED_AT]
        if unknown and not {"start", "end"} & set(names):
            return f"it names neither start nor end, and {shown(unknown)} are not known"
        return ""

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Layout:
    """The fields of a line, in order.

    Attributes:
        names: native names with hyphens.
        guessed: True when nothing named the fields and the default format is on trial: each line
            has to prove that it is of that format.
        configured: True when the pipeline file named the fields: a reject does not record such a
            layout, so that it is replayed by what the file says then.
        broken: what is wrong with the header, so that nothing can be read by it.
        lacking: what a record of flows has and this layout has not.
        prefixed: whether a CloudWatch export's time is before each record.
    """

    names: tuple[str, ...]
    guessed: bool = False
    configured: bool = field(default=False, compare=False)
    broken: str = ""
    lacking: str = ""
    prefixed: bool = False

    @cached_property
    def text(self) -> str | None:
        """The layout that a reject records; None unless the object itself named the fields."""
        return None if self.guessed or self.configured or self.broken else " ".join(self.names)


def is_time(token: bytes) -> bool:
    """Return whether a token is an RFC 3339 time, as CloudWatch exports put before each line."""
    return _RFC3339.match(token) is not None


def parse_header(line: bytes, dialect: Dialect) -> Layout | None:
    """Parse a header line; None if the line is not one.

    A header's tokens are all names of known fields, hyphenated or underscored. Names that are not
    known yet are let in when most others are known: AWS adds fields every year.
    """
    line = line.removeprefix(b"\xef\xbb\xbf")
    if len(line) > MAX_HEADER_BYTES or not line.isascii():
        return None
    tokens = line.decode("ascii").split()
    if not tokens or not all(_NAME.match(token) for token in tokens):
        return None
    names = tuple(dialect.native_name(token) for token in tokens)
    known = sum(name in dialect.by_name for name in names)
    mostly = known >= MIN_KNOWN and known * 2 > len(names)
    if not mostly and known < len(names):
        return None
    twice = sorted({name for name in names if names.count(name) > 1})
    lacking = dialect.what_lacks(names)
    return Layout(names, broken=f"it names {twice[0]} twice" if twice else lacking, lacking=lacking)


def parse_glued(line: bytes, dialect: Dialect) -> Layout | None:
    """Parse a header after a record without its newline, as in joined files; None if there is none.

    The last field of the record and the first name of the header are one token.
    """
    if len(line) > MAX_HEADER_BYTES or not line.isascii():
        return None
    tokens = line.decode("ascii").split()
    for place, token in enumerate(tokens[:-1]):
        first = _known_end(token, dialect)
        if first is not None:
            layout = parse_header(" ".join((first, *tokens[place + 1 :])).encode(), dialect)
            if layout is not None:
                return layout
    return None


def _known_end(token: str, dialect: Dialect) -> str | None:
    """Return the longest name of a field that a token ends with, after something else."""
    text = token.lower().replace("_", "-")
    if text in dialect.by_name:
        return None
    return max(filter(text.endswith, dialect.by_name), key=len, default=None)


def parse_format(text: str, dialect: Dialect) -> Layout:
    """Parse the `format` option: `${a-b} ${c}`, `a-b c`, `a_b c`, with commas or blanks between.

    Raises:
        ValueError: it names no field, one twice, or something that is not a name.
    """
    tokens = [
        token.removeprefix("${").removesuffix("}") for token in re.split(r"[\s,]+", text.strip())
    ]
    bad = [token for token in tokens if not _NAME.match(token.lower())]
    if bad:
        raise ValueError(f"{bad[0]!r} is not a field name")
    names = tuple(dialect.native_name(token) for token in tokens)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the field {twice[0]} is named twice")
    if not any(name in dialect.by_name for name in names):
        raise ValueError("none of these fields is known")
    if lacking := dialect.what_lacks(names):
        raise ValueError(f"a record of this format is no flow: {lacking}")
    return Layout(names, configured=True)


def field_names(names: Sequence[str], dialect: Dialect) -> dict[str, str]:
    """Return the name of each field with its column in the file.

    Of several columns for one field the one that is written as AWS does is taken.
    """
    found: dict[str, str] = {}
    for name in names:
        native = dialect.native_name(name)
        if name.startswith(_INDEX_COLUMN):
            continue
        if native not in found or name == native.replace("-", "_"):
            found[native] = name
    return found
