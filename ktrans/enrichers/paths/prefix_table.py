"""Reads a table of prefixes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ktrans.api import ConfigError, Where
from ktrans.enrichers.paths.table_file import TableFile
from ktrans.expressions.prefixes import Prefix, parse_prefix


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """Prefixes, and columns of facts about them.

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
    table = TableFile(path, "prefix table", prefix_column)
    rows = table.rows()
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
        prefix = _prefix(table, line, row.get(prefix_column))
        if prefix in lines:
            first = lines[prefix]
            note = f", first on line {first}" if first else ""
            raise table.wrong(line, f"prefix {row[prefix_column]} is listed twice{note}")
        lines[prefix] = line
        prefixes.append(prefix)
    columns = {
        name: pa.array([_text(table, line, name, row.get(name)) for line, row in rows], pa.string())
        for name in wanted
    }
    return PrefixTable(prefixes, columns)


def _prefix(table: TableFile, line: int | None, cell: Any) -> Prefix:
    if not isinstance(cell, str) or not cell.strip():
        raise table.wrong(line, "this row has no prefix")
    try:
        return parse_prefix(cell)
    except ValueError as error:
        raise table.wrong(line, str(error)) from None


def _text(table: TableFile, line: int | None, name: str, cell: Any) -> str | None:
    """Return a cell as text; empty cells are null."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | int | float):
        return json.dumps(cell)
    raise table.wrong(line, f"column {name!r} holds neither text nor a number")
