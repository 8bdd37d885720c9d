"""Finds the addresses and domains that alone match a STIX pattern.

Source: OASIS STIX Version 2.1, section 9 "STIX Patterning". A pattern is used as far as one address, or
one domain, is enough to match it: alternatives (OR, IN) are taken one by one; parts that need something
else as well (AND with a port, FOLLOWEDBY, REPEATS, NOT, START and STOP) are not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(?:(?P<text>t?'(?:[^'\\]|\\.)*')|(?P<mark>\[|\]|\(|\)|,|!=|<=|>=|=|<|>)"
    r"|(?P<word>[A-Za-z0-9_:.\-*]+(?:\[[^\]']*\][A-Za-z0-9_:.\-*]*)*(?:'[^']*'[A-Za-z0-9_:.\-*]*)*))"
)
_VALUES = {
    "ipv4-addr:value",
    "ipv6-addr:value",
    "domain-name:value",
    "network-traffic:src_ref.value",
    "network-traffic:dst_ref.value",
}
_TYPES = {"network-traffic:src_ref.type", "network-traffic:dst_ref.type"}
_ADDRESS_TYPES = {"ipv4-addr", "ipv6-addr", "domain-name"}
_COMPARISONS = {"=", "IN", "ISSUBSET"}

Found = list[str] | None
"""Values of which each alone is enough; None for a condition that says nothing (a type)."""


class PatternError(ValueError):
    """A text is not a STIX pattern."""


def values_of(pattern: str) -> list[str]:
    """Return the addresses, networks and domains each of which alone matches the pattern.

    Raises:
        PatternError: it is not a pattern.
    """
    parser = _Parser(_tokens(pattern))
    found = parser.observations()
    if parser.peek() is not None:
        raise PatternError(f"what is {parser.peek()!r}?")
    return list(dict.fromkeys(found or ()))


def _tokens(pattern: str) -> list[str]:
    tokens, at, end = [], 0, len(pattern.rstrip())
    while at < end:
        match = _TOKEN.match(pattern, at)
        if match is None:
            raise PatternError(f"what is {pattern[at : at + 20]!r}?")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self.peek()
        if token is None:
            raise PatternError("it ends too early")
        self._at += 1
        return token

    def _take(self, *tokens: str) -> str | None:
        token = self.peek()
        if token is None or token.upper() not in tokens:
            return None
        self._at += 1
        return token.upper()

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise PatternError(f"there is no {token!r} where one belongs")

    def _nested(self, read: Callable[[], Found], end: str) -> Found:
        self._depth += 1
        if self._depth > 50:  # noqa: PLR2004 - deeper than anyone writes
            raise PatternError("it is nested too deeply")
        found = read()
        self._expect(end)
        self._depth -= 1
        return found

    def observations(self) -> Found:
        return self._joined(self._observation, ("AND", "FOLLOWEDBY"))

    def _observation(self) -> Found:
        if self._take("["):
            found = self._nested(self._comparisons, "]")
        else:
            self._expect("(")
            found = self._nested(self.observations, ")")
        while qualifier := self._take("WITHIN", "REPEATS", "START"):
            self._next()
            self._next()  # SECONDS, TIMES or STOP
            if qualifier == "START":
                self._next()
            if qualifier != "WITHIN":
                found = []
        return found

    def _comparisons(self) -> Found:
        return self._joined(self._comparison, ("AND",))

    def _joined(self, read: Callable[[], Found], both: tuple[str, ...]) -> Found:
        """Read operands: AND binds closer than OR, and OR closer than FOLLOWEDBY."""
        alternatives = [read()]
        followed = False
        while joined := self._take("OR", *both):
            found = read()
            followed = followed or joined == "FOLLOWEDBY"
            if joined == "OR":
                alternatives.append(found)
            else:
                alternatives[-1] = _needs_both(alternatives[-1], found)
        if followed:
            return []
        if len(alternatives) == 1:
            return alternatives[0]
        return [value for found in alternatives for value in found or ()]

    def _comparison(self) -> Found:
        if self._take("("):
            return self._nested(self._comparisons, ")")
        negated = bool(self._take("NOT"))
        if self._take("EXISTS"):
            self._next()
            return []
        path = self._next()
        negated = bool(self._take("NOT")) or negated
        operator = self._next().upper()
        values = self._set() if self._take("(") else [self._next()]
        if negated or operator not in _COMPARISONS:
            return []
        texts = [_unquoted(value) for value in values]
        if path in _TYPES and set(texts) <= _ADDRESS_TYPES:
            return None
        return texts if path in _VALUES else []

    def _set(self) -> list[str]:
        values = [self._next()]
        while self._take(","):
            values.append(self._next())
        self._expect(")")
        return values


def _needs_both(one: Found, other: Found) -> Found:
    if one is None:
        return other
    return one if other is None else []


def _unquoted(token: str) -> str:
    if not token.startswith("'"):
        return token
    return re.sub(r"\\(.)", r"\1", token[1:-1])
