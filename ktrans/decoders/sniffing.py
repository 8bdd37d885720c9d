"""Marks in the first bytes of an object by which `auto` recognises a log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ktrans.api import Head, Sniff

SURE = 100
"""The log names itself, or its records have names that no other log has."""

LIKELY = 95
"""The records have the names of this log; a log that names itself takes precedence."""

WEAK = 60
"""The records would fit other logs as well; any surer claim takes precedence."""

Sniffer = Callable[[Head], Sniff | None]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Alternatives of which at least some must be there.

    Attributes:
        names: the alternatives.
        least: how many of them must be there.
    """

    names: tuple[str, ...]
    least: int = 1


def any_of(*names: str, least: int = 1) -> AnyOf:
    """Require `least` of some alternatives."""
    return AnyOf(names, least)


def keys(*wanted: str | AnyOf, score: int = SURE) -> Sniffer:
    """Return a sniffer for JSON that has these keys, at any depth.

    Args:
        wanted: names of keys, or alternatives.
        score: what it claims when all are there.
    """
    return _Marks(wanted, score, lambda name, data: _has_key(data, name), "JSON keys")


def texts(*wanted: str | AnyOf, score: int = SURE) -> Sniffer:
    """Return a sniffer for objects whose first bytes contain these texts.

    Args:
        wanted: texts, or alternatives.
        score: what it claims when all are there.
    """
    return _Marks(wanted, score, lambda name, data: name.encode() in data, "the text")


def pattern(regex: bytes, why: str, score: int = SURE) -> Sniffer:
    """Return a sniffer for objects whose first bytes match a regular expression."""
    compiled = re.compile(regex)

    def sniff(head: Head) -> Sniff | None:
        found = head.columns is None and compiled.search(head.data)
        return Sniff(score, why) if found else None

    return sniff


def first_of(*sniffers: Sniffer) -> Sniffer:
    """Return a sniffer that makes the claim of the first of several that makes one."""

    def sniff(head: Head) -> Sniff | None:
        return next((claim for each in sniffers if (claim := each(head)) is not None), None)

    return sniff


@dataclass(frozen=True, slots=True)
class _Marks:
    """A sniffer that looks for names."""

    wanted: tuple[str | AnyOf, ...]
    score: int
    has: Callable[[str, bytes], bool]
    what: str

    def __call__(self, head: Head) -> Sniff | None:
        if head.columns is not None:
            return None
        seen: list[str] = []
        for each in self.wanted:
            names, least = (each.names, each.least) if isinstance(each, AnyOf) else ((each,), 1)
            found = [name for name in names if self.has(name, head.data)]
            if len(found) < least:
                return None
            seen += found
        return Sniff(self.score, f"{self.what} {', '.join(seen)}")


def _has_key(data: bytes, name: str) -> bool:
    """Return whether a name is the key of some JSON object."""
    quoted = b'"%s"' % name.encode()
    place = data.find(quoted)
    while place >= 0:
        if data[place + len(quoted) : place + len(quoted) + 8].lstrip()[:1] in (b":", b""):
            return True
        place = data.find(quoted, place + 1)
    return False
