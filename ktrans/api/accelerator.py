r"""Native code for the hot path: what a plugin may offer, and what must not differ with it.

An accelerator reads blocks that are in order, and joins the texts of rows. The code in Python stays the
reference: where an accelerator meets anything odd it returns None, and Python does the work. So rows,
rejects, reasons and positions are the same with it and without it.

Nothing here may hold Python's global lock while it works through a block, and nothing may raise an
exception: `ktrans.kit.accelerate.guarded` makes None of one. A plugin offers its accelerator by the hook
`ktrans_accelerator`.

>>> import pyarrow as pa
>>> from ktrans.api import Accelerator, LineShape, ReadLines
>>> class WordsAccelerator(Accelerator):
...     name = "acme 1.0"
...     def lines(self, shape):
...         def read(block, lines):
...             words = block.decode(errors="replace").split()
...             if shape.kinds != ("text",) or len(words) != lines:
...                 return None
...             return ReadLines([pa.array(words).dictionary_encode()])
...         return read
...     def json(self, shape):
...         return lambda block, lines: None
...     def join(self, parts, rows):
...         return pa.array(["".join(parts)] * rows)
>>> read = WordsAccelerator().lines(LineShape(("text",)))
>>> read(b"accept\nreject\n", 2).columns[0].to_pylist()
['accept', 'reject']
>>> read(b"two words\n", 1) is None
True
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Path = tuple[str, ...]
FieldKind = Literal["skip", "text", "uint8", "uint16", "uint64"]


@dataclass(frozen=True, slots=True)
class LineShape:
    """What to read of lines of fields, with one blank between two fields.

    Attributes:
        kinds: how each field of a line is read, in order: `text` becomes TEXT (a dictionary of int32 and
            utf8, its texts in the order in which they first appear), the others arrays of their own
            type. Skipped fields are checked like texts, and left out of the answer.
        addresses: places in `kinds` of the texts that are IP addresses.
        nulls: texts that stand for null, in every kind.
    """

    kinds: tuple[FieldKind, ...]
    addresses: frozenset[int] = frozenset()
    nulls: tuple[str, ...] = ("-",)


@dataclass(frozen=True, slots=True)
class JsonShape:
    """What to read of JSON objects, one a line.

    Attributes:
        parents: paths of objects whose members are values of their own; other objects, and arrays, are
            kept as they are written.
        paths: the values to read; None reads all.
        numbers: paths of values that are read as numbers; elsewhere a number with a fraction or an
            exponent is kept as it is written.
        times: paths of texts that become int64 nanoseconds since 1970, if all of them are RFC 3339 times
            in UTC that end in Z, of the years 1970 to 2261.
        addresses: paths of texts that are IP addresses.
        digits: paths of texts that become int64, if each is decimal digits without leading zeros, at
            most 15 of them.
        within: paths of values inside objects that are kept as they are written; they are read as
            well, without regard to the other fields. None may be the beginning of another, nor may
            all objects around it be parents.
    """

    parents: frozenset[Path] = frozenset()
    paths: frozenset[Path] | None = None
    numbers: frozenset[Path] = frozenset()
    times: frozenset[Path] = frozenset()
    addresses: frozenset[Path] = frozenset()
    digits: frozenset[Path] = frozenset()
    within: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class ReadLines:
    """The fields of the lines of a block.

    Attributes:
        columns: of the fields that are not skipped, in order.
        canonical: places in `columns` of addresses of which every text is one in its canonical form.
    """

    columns: list[pa.Array]
    canonical: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ReadJson:
    """The values of the objects of a block.

    Attributes:
        columns: by path, in the order in which they first appear; those that are null everywhere are
            left out. Texts are TEXT (a dictionary of int32 and utf8), numbers int64 or float64, booleans
            bool.
        nested: paths of the objects and arrays among them, TEXT as they are written.
        canonical: paths of the addresses of which every text is one in its canonical form.
    """

    columns: dict[Path, pa.Array]
    nested: frozenset[Path] = frozenset()
    canonical: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The texts around the values of a part.

    Attributes:
        before: stands before each value.
        after: stands after each value.
        absent: replaces all three where the value is null.
    """

    before: str = ""
    after: str = ""
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Coded(Around):
    """A text in each row, by distinct text.

    Attributes:
        codes: int32, shape (rows,): index into `values`.
        values: `string` array.
    """

    codes: np.ndarray
    values: pa.Array


@dataclass(frozen=True, slots=True)
class Plain(Around):
    """A text in each row.

    Attributes:
        texts: `string` array, shape (rows,).
    """

    texts: pa.Array


@dataclass(frozen=True, slots=True)
class Numbers(Around):
    """A number in each row.

    Attributes:
        values: array of shape (rows,): integers, as their decimal digits, or timestamps of microseconds,
            of the years 0 to 9999, as RFC 3339 with six digits of fraction, and a Z if they have a time
            zone.
    """

    values: pa.Array


@dataclass(frozen=True, slots=True)
class Maps(Around):
    """A JSON object of texts in each row.

    Attributes:
        values: array of maps of `string` to `string`, shape (rows,). Items that are null are `null`.
        text_of: returns the objects of such an array as texts, as Python makes them.
    """

    values: pa.Array
    text_of: Callable[[pa.Array], pa.Array]


RowPart = str | Coded | Plain | Numbers | Maps
"""A str is the same text in every row."""
LineReader = Callable[[bytes, int], ReadLines | None]
"""Reads a block of so many lines; None unless all of them are in order."""
JsonReader = Callable[[bytes, int], ReadJson | None]
"""Reads a block of so many lines; None unless each is one JSON object with values as expected."""


class Accelerator(abc.ABC):
    """Native readers and encoders. Called by several threads at once.

    Attributes:
        name: the distribution and its version, for people.
    """

    name: str

    @abc.abstractmethod
    def lines(self, shape: LineShape) -> LineReader:
        """Return a reader of lines of fields.

        It reads a block only if it is UTF-8 without byte order marks, every line has as many fields as
        the shape, none of them empty, none of the bytes NUL, tab, carriage return, `#` or `{` is there,
        and every number is decimal digits of its type's range.
        """

    @abc.abstractmethod
    def json(self, shape: JsonShape) -> JsonReader:
        """Return a reader of JSON lines.

        It reads a block only if every line is one JSON object (RFC 8259) in UTF-8 from its first byte to
        its last, a parent is an object or null and has no name twice and none with an escape, no text
        has a NUL or half a surrogate pair, and the values of a path are of one type: texts, integers of
        int64 without a minus zero, booleans, objects and arrays, or numbers of which some have a
        fraction or an exponent and none is infinite; those that are read as numbers are below 2^53.
        """

    @abc.abstractmethod
    def join(self, parts: Sequence[RowPart], rows: int) -> pa.Array | None:
        """Join the parts of rows into one text for each row.

        Returns:
            A `string` array without nulls, shape (rows,); None to leave it to Python. The caller sees
            to it that its bytes stay below 2 GiB.
        """
