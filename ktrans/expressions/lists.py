"""Reads lists from files: `src_port in file('ports.txt')`, `in_cidr(src_addr, file('prefixes.txt'))`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from ktrans.expressions.prefixes import parse_prefix

_COMMENT = re.compile(r"\s*[#;].*")


def read_prefixes(path: Path) -> list[str]:
    """Return the prefixes in a file: one a line, IPv4 or IPv6; `#` and `;` begin a comment.

    Raises:
        ValueError: the file cannot be read, a line of it is no prefix, or there is none.
    """
    found = []
    for number, line in enumerate(_lines(path), 1):
        text = _COMMENT.sub("", line).strip()
        if not text:
            continue
        try:
            parse_prefix(text)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        found.append(text)
    return _some(found, path, "prefix")


def read_values(path: Path) -> list[str]:
    """Return the values in a file: one a line; lines that begin with `#` are comments.

    Of a `.csv`, whose first line is its header, the cells of a row are one value, joined by commas.

    Raises:
        ValueError: the file cannot be read, or there is no value.
    """
    lines = [line for line in _lines(path) if line.strip() and not line.lstrip().startswith("#")]
    if path.suffix.lower() == ".csv":
        return _some(list(_rows(lines, path)), path, "row")
    return _some([line.strip() for line in lines], path, "value")


def _rows(lines: list[str], path: Path) -> Iterator[str]:
    try:
        header, *rows = csv.reader(lines, strict=True) if lines else [[]]
    except csv.Error as error:
        raise ValueError(f"{path}: {error}") from None
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}: {row} has {len(row)} cells, the header has {len(header)}")
        yield ",".join(cell.strip() for cell in row)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None


def _some(found: list[str], path: Path, what: str) -> list[str]:
    if not found:
        raise ValueError(f"{path} has no {what}")
    return found
