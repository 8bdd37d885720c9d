"""Reads lists of one value a line, and CSV.

Plain lists are those of Spamhaus (`192.0.2.0/24 ; SBL000001`), FireHOL, Emerging Threats and abuse.ch,
hosts files (`0.0.0.0 name`), and DShield's ranges (first address, last address, length).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ktrans.api import ConfigError
from ktrans.enrichers.threats.dates import date_of
from ktrans.enrichers.threats.entries import Published, domain, is_value, read_value
from ktrans.expressions.prefixes import Prefix, parse_prefix

if TYPE_CHECKING:
    from ktrans.enrichers.threats.options import ThreatList

_COMMENT = ("#", ";", "//")
_NOWHERE = {"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"}  # noqa: S104 - those in a hosts file
_RANGE_CELLS = 3
_HOSTS_CELLS = 2
_LOOKED_AT = 1000
"""In how many rows a column of values is looked for."""
NO_DOMAIN = "name of a hosts file that is no domain"


def looks_like_csv(text: str) -> bool:
    """Return whether the first line that is no comment has several cells."""
    first = next((line for line in text.splitlines() if line.strip() and not _comment(line)), "")
    return "," in first.partition("#")[0].partition(";")[0]


def read_plain(text: str) -> Published:
    """Read one value a line; what follows a `#` or `;` is its label."""
    found = Published([])
    comments = []
    for line in text.splitlines():
        if not line.strip() or _comment(line):
            comments.append(line)
            continue
        at = min((i for i in (line.find("#"), line.find(";")) if i >= 0), default=len(line))
        words = line[:at].split()
        if len(words) >= _HOSTS_CELLS and words[0] in _NOWHERE:
            del words[0]
            if domain(words[0]) is None:  # localhost, broadcasthost
                found.skip(NO_DOMAIN)
                continue
        found.add(_value(words), line[at + 1 :].strip() or None)
    found.as_of = date_of(comments)
    return found


def _value(words: list[str]) -> str:
    if len(words) >= _RANGE_CELLS and _is_range(*words[:_RANGE_CELLS]):
        return f"{words[0]}/{words[2]}"
    return words[0] if words else ""


def _is_range(first: str, last: str, length: str) -> bool:
    """Return whether a network of this length begins and ends with these addresses."""
    try:
        network, end = parse_prefix(f"{first}/{length}"), parse_prefix(last)
        size = 1 << (end.length - network.length)
    except ValueError:
        return False
    return end.first == network.first + size - 1


def read_csv(text: str, options: ThreatList, delimiter: str) -> Published:
    """Read CSV: its header is the first line, or the last comment before it, or missing.

    Raises:
        ConfigError: a column does not exist.
    """
    lines = text.splitlines()
    comments = [line for line in lines if _comment(line)]
    data = [line for line in lines if line.strip() and not _comment(line)]
    rows = [row for row in csv.reader(data, delimiter=delimiter, skipinitialspace=True) if row]
    before = lines[: lines.index(data[0])] if data else comments
    header = _commented_header(before, len(rows[0]) if rows else 0, delimiter)
    if rows and _is_header(rows[0], () if header else (options.column, options.label)):
        header = rows.pop(0)
    columns = Columns([name.strip() for name in header], options)
    found = Published([], date_of(comments))
    columns.add(rows, found)
    return found


def _is_header(row: Sequence[str], wanted: Sequence[str | int | None]) -> bool:
    """Return whether a row holds no value, or a wanted name, which may look like a domain."""
    if any(cell[:1].isdecimal() for cell in row):
        return False
    values = [read_value(cell.strip()) for cell in row]
    if any(isinstance(value, Prefix) for value in values):
        return False
    return not any(values) or any(cell.strip() in wanted for cell in row)


def _commented_header(comments: Sequence[str], cells: int, delimiter: str) -> list[str]:
    for line in reversed(comments):
        names = next(csv.reader([line.lstrip("#;/ ")], delimiter=delimiter, skipinitialspace=True))
        if len(names) == cells > 1:
            return names
    return []


class Columns:
    """The columns of a table that hold the value and its label.

    Without `column` it is the first one that holds an address, or else the first one that holds a domain.
    """

    def __init__(self, header: Sequence[str], options: ThreatList) -> None:
        self._header = header
        self._options = options

    def add(self, rows: Sequence[Sequence[Any]], found: Published) -> None:
        """Add the entries of rows.

        Raises:
            ConfigError: a column does not exist.
        """
        at = self._position("column")
        label_at = self._position("label")
        if at is None:
            at = _column_of_values(rows[:_LOOKED_AT])
        for row in rows:
            label = row[label_at] if label_at is not None and label_at < len(row) else None
            value = row[at] if at < len(row) else None
            found.add(value.strip() if isinstance(value, str) else None, _label(label))

    def _position(self, option: str) -> int | None:
        wanted = getattr(self._options, option)
        if wanted is None:
            return None
        if isinstance(wanted, int):
            return int(wanted) - 1
        if wanted in self._header:
            return self._header.index(wanted)
        has = f"it has: {', '.join(self._header)}" if self._header else "it has no header"
        raise ConfigError(
            f"threat_list: {self._options.file} has no column {wanted!r}",
            code="unknown_column",
            hint=f"{has}; a column can also be given by its number",
        )


def _column_of_values(rows: Sequence[Sequence[Any]]) -> int:
    cells = sorted({(at, cell) for row in rows for at, cell in enumerate(row) if is_value(cell)})
    addresses = (at for at, cell in cells if isinstance(read_value(cell.strip()), Prefix))
    return next(addresses, cells[0][0] if cells else 0)


def _label(cell: Any) -> str | None:
    if cell is None or isinstance(cell, dict | list):
        return None
    return str(cell).strip() or None


def _comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENT)


def rows_of(objects: Sequence[dict[str, Any]]) -> tuple[list[str], Iterator[list[Any]]]:
    """Return objects as a header and rows."""
    header = list(dict.fromkeys(key for one in objects for key in one))
    return header, ([one.get(key) for key in header] for one in objects)
