"""What a published list holds: addresses, networks and domains, each with a label and a validity."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from ktrans.expressions.prefixes import Prefix, parse_prefix

ALWAYS, FOREVER = -(1 << 62), 1 << 62
"""The validity of entries without one, in microseconds since 1970."""
_DOMAIN = re.compile(
    r"(?i)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]*[a-z0-9]\.?"
)
_PORT = re.compile(r"([0-9.]+)[:|][0-9]{1,5}|\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_LONGEST_DOMAIN = 254
UNREADABLE = "not an address, network or domain"


class Entry(NamedTuple):
    """A value of a list.

    Attributes:
        value: an address or network, or a domain in lower case.
        label: what the list says about it.
        since, until: from when and until when it counts, in microseconds since 1970.
    """

    value: Prefix | str
    label: str | None = None
    since: int = ALWAYS
    until: int = FOREVER


class Published(msgspec.Struct):
    """What was read from a list.

    Attributes:
        entries: its entries.
        as_of: the date that the list has in itself.
        skipped: how many entries do not count, by reason.
    """

    entries: list[Entry]
    as_of: datetime | None = None
    skipped: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, text: Any, label: Any, since: int = ALWAYS, until: int = FOREVER) -> None:
        """Add an entry, or count it if its text is not a value; a label that is no text is none."""
        value = read_value(text) if isinstance(text, str) else None
        if value is None:
            self.skip(UNREADABLE)
        else:
            said = label if isinstance(label, str) else None
            self.entries.append(Entry(value, said, since, until))

    def skip(self, reason: str) -> None:
        """Count an entry that is not used."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def dated(self, dates: Iterable[datetime | None]) -> None:
        """Take the latest of some dates as that of the list."""
        known = [date for date in (self.as_of, *dates) if date is not None]
        self.as_of = max(known, default=None)


def read_value(text: str) -> Prefix | str | None:
    """Return an address or network, or a domain in lower case; None for other texts.

    A port may follow an address. Bits beyond the length are cleared: published lists have some.
    """
    try:
        return parse_prefix(text, exact=False)
    except ValueError:
        if match := _PORT.fullmatch(text):
            return read_value(match[1] or match[2])
        return domain(text)


def domain(text: str) -> str | None:
    """Return a domain in lower case without the last dot; None for other texts."""
    text = text.removeprefix("*.")
    if len(text) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(text):
        return None
    return text.lower().removesuffix(".")


def is_value(text: Any) -> bool:
    """Return whether a text is an address, a network or a domain."""
    return isinstance(text, str) and read_value(text.strip()) is not None


def micros(time: datetime | None, default: int) -> int:
    """Return a time in microseconds since 1970."""
    if time is None:
        return default
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
