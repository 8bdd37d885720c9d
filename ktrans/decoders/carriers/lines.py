"""Lines of text that carry records: container logs, and what the AWS CLI prints.

Sources: Kubernetes, "CRI container logging format"; AWS CLI reference, `aws logs tail`, `filter-log-events`,
`get-log-events`, `get-query-results`, and its output formats text, table and YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from ktrans.decoders.carriers.envelopes import Part, open_envelope
from ktrans.decoders.carriers.messages import Origin, moment
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_TIME = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
_CRI = re.compile(_TIME + rb" (?:stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)
_TAILED = re.compile(_TIME + rb" (\S+) (.*)", re.DOTALL)
_STAMPED = re.compile(_TIME + rb" (.*)", re.DOTALL)
_ZONE = re.compile(rb"(?:Z|[+-]\d\d:?\d\d)\Z")
_STREAM = re.compile(rb".*-(?:all|accept|reject)\Z|.*[/\[].*")
_CLI_WORDS = (b"EVENTS\t", b"SEARCHEDLOGSTREAMS\t", b"RESULTS\t", b"STATISTICS\t")
_TOKENS = re.compile(rb"b/\d{30,}\tf/\d{30,}\Z|f/\d{30,}\tb/\d{30,}\Z")
_TITLE = re.compile(rb"\|+\s*(?:FilterLogEvents|GetLogEvents|GetQueryResults)\s*\|+\Z")
_RULE = re.compile(rb"[-+|]+\Z")
_LISTS = (b"events:", b"- events:")
_ITEM = re.compile(rb"\s*- (?:eventId|ingestionTime|logStreamName|message): ")
_MEMBER = re.compile(r" *(- |  )([A-Za-z]+): (.*)")
_LOOKED_AT = 20
_MILLIS = 13


class LineCarrier(Protocol):
    """Takes records out of lines."""

    def take(self, line: bytes) -> Iterator[Part]:
        """Yield what a line completes."""

    def end(self) -> Iterator[Part]:
        """Yield what is left at the end."""


def line_carrier(head: bytes) -> LineCarrier | None:
    """Return what takes the records out of lines that begin like this; None if they are records."""
    lines = [line.rstrip(b"\r") for line in head.split(b"\n", _LOOKED_AT)[:_LOOKED_AT]]
    first = next((line for line in lines if line.strip()), b"")
    if _CRI.match(first):
        return _Containers()
    if _TOKENS.match(first) or any(line.startswith(_CLI_WORDS) for line in lines[:3]):
        return _CliText()
    if first.strip() in _LISTS and any(map(_ITEM.match, lines[:3])):
        return _CliYaml()
    if any(map(_TITLE.match, lines[:3])):
        return _CliTable()
    return _tail(first)


def _tail(first: bytes) -> LineCarrier | None:
    """Return what reads the lines of `aws logs tail`, if the first one is of it."""
    tailed = _TAILED.match(first)
    if tailed is not None and (_STREAM.match(tailed[2]) or tailed[3].startswith(b"{")):
        return _Tail(_TAILED)
    stamped = _STAMPED.match(first)
    # A time with its zone before a record is what exports to S3 have: decoders read it.
    if stamped is not None and (stamped[2].startswith(b"{") or not _ZONE.search(stamped[1])):
        return _Tail(_STAMPED)
    return None


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


class _Containers:
    """Lines of a container's log; long records are in several of them."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._micros: int | None = None

    def take(self, line: bytes) -> Iterator[Part]:
        """Yield the record that a line ends."""
        found = _CRI.match(line)
        if found is None:
            yield from self.end()
            if line.strip():
                yield Part("text", _decoded(line))
            else:
                yield Part("other", 1)
            return
        self._begun.append(found[3])
        self._micros = moment(_decoded(found[1]))
        if found[2] == b"F":
            yield from self.end()

    def end(self) -> Iterator[Part]:
        """Yield a record whose end is missing."""
        if self._begun:
            begun, self._begun = self._begun, []
            yield Part("text", _decoded(b"".join(begun)), micros=self._micros)


class _Tail:
    """What `aws logs tail` prints: time, stream, message; or time, message.

    With `--format json` a message that is JSON goes on over several lines.
    """

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self._begun: list[bytes] = []
        self._said = Part("text", "")

    def take(self, line: bytes) -> Iterator[Part]:
        """Yield the record before this line, if it is complete."""
        found = self._pattern.match(line)
        if found is None and self._begun:
            self._begun.append(line)
            return
        yield from self.end()
        if found is None:
            yield Part("text", _decoded(line)) if line.strip() else Part("other", 1)
            return
        stream = None if self._pattern is _STAMPED else _decoded(found[2])
        origin = Origin(stream=stream)
        self._said = Part("text", "", origin, micros=moment(_decoded(found[1])))
        self._begun = [found[found.lastindex or 0]]

    def end(self) -> Iterator[Part]:
        """Yield the last record."""
        if self._begun:
            text = _decoded(b"\n".join(self._begun))
            self._begun = []
            yield self._said._replace(value=text)


class _CliText:
    """What `--output text` prints: a word for the list, and the values between tabs."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def take(self, line: bytes) -> Iterator[Part]:
        """Yield the record of a line."""
        word, *values = _decoded(line).split("\t")
        if word == "RESULTS" and len(values) > 1:
            if values[0] in self._fields:
                yield from self.end()
            self._fields[values[0]] = "\t".join(values[1:])
            return
        yield from self.end()
        if word != "EVENTS" or len(values) < 3:  # noqa: PLR2004 - ingestionTime, message, timestamp
            yield Part("other", 1)
            return
        *values, time = values
        plain = len(values[0]) == _MILLIS and values[0].isdigit()
        if plain:
            yield Part("text", "\t".join(values[1:]), micros=moment(time))
        else:
            name, _, stream, *text = [*values, "", ""]
            text = text[: len(values) - 3]
            yield Part("text", "\t".join(text), Origin(stream=stream), name, moment(time))

    def end(self) -> Iterator[Part]:
        """Yield the result whose fields were printed."""
        if self._fields:
            fields, self._fields = self._fields, {}
            yield from _of_fields(fields)


class _CliTable:
    """What `--output table` prints."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._fields: dict[str, Any] = {}

    def take(self, line: bytes) -> Iterator[Part]:
        """Yield the record of a row."""
        if _RULE.match(line) or not line.startswith(b"|"):
            yield from self.end()
            yield Part("other", 1)
            return
        cells = [cell.strip() for cell in _decoded(line).strip().strip("|").split("|")]
        if "message" in cells and len(cells) > 2:  # noqa: PLR2004 - the heads of columns
            self._names = cells
            yield Part("other", 1)
        elif self._names and len(cells) >= len(self._names):
            yield from _of_fields(_cells(self._names, cells))
        elif len(cells) == 2 and not self._names:  # noqa: PLR2004 - a name and its value
            if cells[0] in self._fields:
                yield from self.end()
            self._fields[cells[0]] = cells[1]
        else:
            yield Part("other", 1)

    def end(self) -> Iterator[Part]:
        """Yield the record whose values were in rows of their own."""
        fields, self._fields = self._fields, {}
        if fields:
            yield from _of_fields(fields)


class _CliYaml:
    """What `--output yaml` prints: a list whose items have a member a line; long texts go on below."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        self._name = ""

    def take(self, line: bytes) -> Iterator[Part]:
        """Yield the item before this line, if another begins."""
        text = _decoded(line)
        found = _MEMBER.match(text)
        if found is None and self._name and text.startswith("    "):
            self._fields[self._name] += f" {text.strip()}"
            return
        if found is None or found[1] == "- ":
            yield from self.end()
        if found is None:
            yield Part("other", 1)
            return
        self._name = found[2]
        self._fields[self._name] = found[3]

    def end(self) -> Iterator[Part]:
        """Yield the last item."""
        fields, self._fields, self._name = self._fields, {}, ""
        if fields:
            yield from _of_fields({name: _unquoted(text) for name, text in fields.items()})


def _unquoted(text: str) -> str:
    """Return a scalar of YAML without its quotes."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            found = msgspec.json.decode(text)
        except UNREADABLE_JSON:
            return text
        return found if isinstance(found, str) else text
    return text


def _cells(names: list[str], cells: list[str]) -> dict[str, Any]:
    """Return the cells of a row by name; a message may have the mark between cells in it."""
    spare = len(cells) - len(names)
    place = names.index("message")
    message = "|".join(cells[place : place + spare + 1])
    return dict(zip(names, [*cells[:place], message, *cells[place + spare + 1 :]], strict=True))


def _of_fields(fields: dict[str, Any]) -> Iterator[Part]:
    """Yield what fields by name carry."""
    found = open_envelope(fields, lambda _: False)
    if found is None:
        queried = any(name.startswith("@") for name in fields)
        yield Part("bad", fields) if queried else Part("other", 1)
    else:
        yield from found
