"""The records that a carrier holds, and what it says about each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple, cast

import msgspec

from ktrans.flow.columns import MICROS_FROM, MILLIS_FROM, NANOS_FROM
from ktrans.kit.text.encodings import BASE64_MAGIC

_CLOSER = ("", "{", "[", " ", "\t", "\ufeff", *(magic[:1].decode() for magic in BASE64_MAGIC))
"""How texts begin that may be more than a record on one line."""
_CLOSER_FIRST = frozenset(_CLOSER)
_SECOND = 1_000_000
_FARTHEST = 253_402_300_800 * _SECOND
"""The end of the year 9999 in microseconds."""


class Origin(NamedTuple):
    """Where a record was logged.

    Attributes:
        owner: the account.
        group: the log group.
        stream: the log stream.
        part: which part of the object it is in, if these are logs of their own.
    """

    owner: str | None = None
    group: str | None = None
    stream: str | None = None
    part: str | None = None

    def within(self, outer: Origin) -> Origin:
        """Return the place, with what the carrier around this one said where it says nothing."""
        if outer in (NOWHERE, self):
            return self
        return Origin(*(own or given for own, given in zip(self, outer, strict=True)))


NOWHERE = Origin()


class Message(NamedTuple):
    """A record in a carrier: one line of text.

    Attributes:
        text: the record, without newlines.
        origin: where it was logged.
        id: the carrier's name for it.
        micros: when it was logged, in microseconds.
    """

    text: bytes
    origin: Origin = NOWHERE
    id: str | None = None
    micros: int | None = None


class Bad(NamedTuple):
    """A part of a carrier that cannot be read; see `Refused` of blocks."""

    reason: str
    raw: bytes
    detail: str
    complete: bool = True


class Other(NamedTuple):
    """Parts of a carrier that are no records: control messages, blank messages, header lines.

    `name` is what they are, where that is more than a blank or a header.
    """

    number: int = 1
    name: str | None = None


class Run(NamedTuple):
    """Records in a row that one envelope holds, as columns; `Strands` joins runs or takes them apart.

    Attributes:
        lines: the records, each with a newline after it.
        origin: where they were logged.
        ids: the carrier's names for them.
        millis: when they were logged, in milliseconds.
    """

    lines: bytes
    origin: Origin
    ids: list[str | None]
    millis: list[int]

    def messages(self) -> list[Message]:
        """Return the records one by one."""
        micros = [each * 1000 for each in self.millis]
        columns = (self.lines.split(b"\n"), repeat(self.origin), self.ids, micros)
        # `tuple.__new__` makes the messages without a Python call for each.
        return list(map(_MESSAGE, zip(*columns, strict=False)))


_MESSAGE = cast("Callable[[tuple[Any, ...]], Message]", partial(tuple.__new__, Message))

Item = Message | Bad | Other


def is_plain(text: str) -> bool:
    """Return whether a text is surely a record on one line."""
    return not (text[:1] in _CLOSER or "\n" in text or "\r" in text or text[-1:].isspace())


def plain_lines(texts: list[str]) -> bytes | None:
    """Return texts as lines; None unless all are surely records on one line each."""
    together = "\n".join(texts)
    if (
        not _CLOSER_FIRST.isdisjoint({text[:1] for text in texts})
        or any(map(str.isspace, {text[-1] for text in texts}))
        or together.count("\n") != len(texts) - 1
        or "\r" in together
    ):
        return None
    return together.encode("utf-8", "replace") + b"\n"


def with_said(item: Item | Run, said: Message) -> Item | Run:
    """Return messages with what the carrier around them said, where they say nothing themselves."""
    if isinstance(item, Message):
        return _with_said(item, said)
    if isinstance(item, Run):
        origin = item.origin.within(said.origin)
        ids = [said.id if each is None else each for each in item.ids]
        return Run(item.lines, origin, ids, item.millis)
    return item


def _with_said(item: Message, said: Message) -> Message:
    return Message(
        item.text,
        item.origin.within(said.origin),
        said.id if item.id is None else item.id,
        said.micros if item.micros is None else item.micros,
    )


class _Stored(msgspec.Struct, omit_defaults=True):
    owner: str | None = None
    logGroup: str | None = None  # noqa: N815
    logStream: str | None = None  # noqa: N815
    part: str | None = None
    id: str | None = None
    time: int | None = None


def to_json(origin: Origin, name: str | None, micros: int | None) -> str:
    """Return what the carrier says of a message as JSON: its origin, id and time."""
    return msgspec.json.encode(_Stored(*origin, name, micros)).decode()


def from_json(text: bytes, carrier: str) -> Message:
    """Return a message by its record and what `to_json` gave.

    Raises:
        ValueError: it is not what `to_json` gives.
    """
    found = msgspec.json.decode(carrier, type=_Stored)
    origin = Origin(found.owner, found.logGroup, found.logStream, found.part)
    return Message(text, origin, found.id, found.time)


def moment(value: Any) -> int | None:
    """Return a carrier's time in microseconds; None if it is not one.

    Numbers are seconds, or milliseconds and finer by size; texts are numbers or RFC 3339.
    """
    if type(value) is int and MILLIS_FROM <= value < MICROS_FROM:
        return value * 1000
    if isinstance(value, str):
        value = _of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        for least, multiply, divide in _UNITS:
            if abs(value) >= least:
                micros = int(value * multiply) // divide
                return micros if 0 <= micros < _FARTHEST else None
    except (ValueError, OverflowError):
        return None
    return None


_UNITS = (
    (NANOS_FROM, 1, 1000),
    (MICROS_FROM, 1, 1),
    (MILLIS_FROM, 1000, 1),
    (0, _SECOND, 1),
)
_LONGEST = 40


def _of_text(text: str) -> int | float | None:
    """Return a time as text in a number that `moment` understands."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    try:
        return int(text) if text.isascii() and text.isdigit() else float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    micros = (found - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
    return micros if micros >= MICROS_FROM else micros / _SECOND


_MICROSECOND = datetime.resolution
