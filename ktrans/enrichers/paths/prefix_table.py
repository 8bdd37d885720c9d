"""Reads a table of prefixes from CSV, JSON or YAML, and says where it is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ktrans.api import ConfigError, Where
from ktrans.expressions.prefixes import Prefix, parse_prefix

Row = tuple[int | None, dict[str, Any]]
"""A row's line in the file, if known, and its cells by column name."""


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """Prefixes with what is known about each.

    Attributes:
        prefixes: one a row.
        columns: for each other column, the text of each row; null where there is none.
    """

    prefixes: list[Prefix]
    columns: dict[str, pa.Array]


def load_prefix_table(path: Path, prefix_column: str, wanted: list[str] | None) -> PrefixTable:
    """Read a table.

    Args:
        path: a `.csv` (header first), `.json`, `.yaml` or `.yml` file. JSON and YAML hold a list of
            rows, or a mapping of prefix to row.
        prefix_column: the column that holds the prefix.
        wanted: the other columns to take; None takes all.

    Raises:
        ConfigError: the file cannot be read, or a row in it is wrong; with file and line.
    """
    readers = {".csv": _csv_rows, ".json": _json_rows, ".yaml": _yaml_rows, ".yml": _yaml_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(
            f"prefix table: cannot tell the format of {path.name}",
            hint="name the table .csv, .json, .yaml or .yml",
        )
    try:
        rows = list(reader(path, prefix_column))
    except OSError as error:
        raise ConfigError(
            f"prefix table: cannot read the table {path}: {error.strerror or error}",
            code="table_unreadable",
            hint="a relative path starts from the pipeline file's folder",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"prefix table: {path} is not UTF-8 text: {error}") from None
    return _build(path, rows, prefix_column, wanted)


def _build(
    path: Path, rows: list[Row], prefix_column: str, wanted: list[str] | None
) -> PrefixTable:
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    if wanted is None:
        wanted = [name for name in names if name != prefix_column]
    for name in [prefix_column, *wanted]:
        if name not in names:
            raise ConfigError(
                f"prefix table: the table {path} has no column {name!r}",
                code="unknown_column",
                hint=f"it has: {', '.join(names)}" if names else "it is empty",
                where=Where(str(path), 1),
            )
    prefixes: list[Prefix] = []
    lines: dict[Prefix, int | None] = {}
    for line, row in rows:
        prefix = _prefix(path, line, row.get(prefix_column))
        if prefix in lines:
            first = lines[prefix]
            note = f", first on line {first}" if first else ""
            raise _wrong(path, line, f"prefix {row[prefix_column]} is listed twice{note}")
        lines[prefix] = line
        prefixes.append(prefix)
    columns = {
        name: pa.array([_text(path, line, name, row.get(name)) for line, row in rows], pa.string())
        for name in wanted
    }
    return PrefixTable(prefixes, columns)


def _prefix(path: Path, line: int | None, cell: Any) -> Prefix:
    if not isinstance(cell, str) or not cell.strip():
        raise _wrong(path, line, "this row has no prefix")
    try:
        return parse_prefix(cell)
    except ValueError as error:
        raise _wrong(path, line, str(error)) from None


def _text(path: Path, line: int | None, name: str, cell: Any) -> str | None:
    """Return a cell as text; empty cells are null."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | int | float):
        return json.dumps(cell)
    raise _wrong(path, line, f"column {name!r} holds neither text nor a number")


def _wrong(path: Path, line: int | None, message: str) -> ConfigError:
    where = Where(str(path), line)
    return ConfigError(f"prefix table: {where}: {message}", code="bad_table", where=where)


def _csv_rows(path: Path, prefix_column: str) -> Iterator[Row]:
    del prefix_column
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    raise _wrong(
                        path,
                        reader.line_num,
                        f"{len(cells)} cells, where the header has {len(header)}",
                    )
                yield reader.line_num, dict(zip(header, map(str.strip, cells), strict=True))
        except csv.Error as error:
            raise _wrong(path, reader.line_num, str(error)) from None


def _json_rows(path: Path, prefix_column: str) -> Iterator[Row]:
    text = path.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(path, error.lineno, error.msg) from None
    at = 0
    for _, row in _rows_of(path, value, prefix_column):
        # The parser keeps no positions: a row is taken to be where its prefix is next written.
        found = text.find(json.dumps(row.get(prefix_column)), at)
        at = max(found, at)
        yield (text.count("\n", 0, found) + 1 if found >= 0 else None), row


def _yaml_rows(path: Path, prefix_column: str) -> Iterator[Row]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        value = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise _wrong(path, mark.line + 1 if mark else None, str(error.problem)) from None
    return _rows_of(path, value, prefix_column)


def _rows_of(path: Path, value: Any, prefix_column: str) -> Iterator[Row]:
    """Take a list of rows, or a mapping of prefix to row or to a single `name`."""
    if isinstance(value, dict):
        for key, row in value.items():
            cells = row if isinstance(row, dict) else {"name": row}
            yield _line(value, key), {prefix_column: key, **cells}
    elif isinstance(value, list):
        for i, row in enumerate(value):
            if not isinstance(row, dict):
                raise _wrong(path, _line(value, i), "a row is a mapping of column to value")
            yield _line(value, i), dict(row)
    else:
        raise _wrong(path, 1, "expected a list of rows, or a mapping of prefix to row")


def _line(container: Any, key: Any) -> int | None:
    """Return the line that ruamel.yaml remembers for an item."""
    position = getattr(container, "lc", None)
    if position is None or position.data is None:
        return None
    return int(position.data[key][0]) + 1
