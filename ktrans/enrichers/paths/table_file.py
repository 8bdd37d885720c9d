"""Reads the rows of a table from CSV, JSON or YAML, and says on which line an error is."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktrans.api import ConfigError, Where

Row = tuple[int | None, dict[str, Any]]
"""A row's line in the file, if known, and its cells by column name."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table in a file: CSV with a header, or JSON or YAML with a list of rows or a mapping.

    Attributes:
        path: a `.csv`, `.json`, `.yaml` or `.yml` file.
        what: the kind of table, for messages.
        key: the column of the keys of a mapping.
    """

    path: Path
    what: str
    key: str

    def rows(self) -> list[Row]:
        """Read all rows.

        Raises:
            ConfigError: the file cannot be read, or a row in it is wrong; with file and line.
        """
        kinds = {".csv": _csv_rows, ".json": _json_rows, ".yaml": _yaml_rows, ".yml": _yaml_rows}
        read = kinds.get(self.path.suffix.lower())
        if read is None:
            raise ConfigError(
                f"{self.what}: cannot tell the format of {self.path.name}",
                hint="name the table .csv, .json, .yaml or .yml",
            )
        try:
            return list(read(self))
        except OSError as error:
            raise ConfigError(
                f"{self.what}: cannot read the table {self.path}: {error.strerror or error}",
                code="table_unreadable",
                hint="a relative path starts from the pipeline file's folder",
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.what}: {self.path} is not UTF-8 text: {error}") from None

    def wrong(self, line: int | None, message: str) -> ConfigError:
        """Make the error for a line."""
        where = Where(str(self.path), line)
        return ConfigError(f"{self.what}: {where}: {message}", code="bad_table", where=where)


def _csv_rows(table: TableFile) -> Iterator[Row]:
    with table.path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    raise table.wrong(
                        reader.line_num,
                        f"{len(cells)} cells, where the header has {len(header)}",
                    )
                yield reader.line_num, dict(zip(header, map(str.strip, cells), strict=True))
        except csv.Error as error:
            raise table.wrong(reader.line_num, str(error)) from None


def _json_rows(table: TableFile) -> Iterator[Row]:
    text = table.path.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise table.wrong(error.lineno, error.msg) from None
    at = 0
    for _, row in _rows_of(table, value):
        # The parser keeps no positions: the line of a row is the next one with its key.
        found = text.find(json.dumps(row.get(table.key)), at)
        at = max(found, at)
        yield (text.count("\n", 0, found) + 1 if found >= 0 else None), row


def _yaml_rows(table: TableFile) -> Iterator[Row]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        value = YAML(typ="rt").load(table.path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise table.wrong(mark.line + 1 if mark else None, str(error.problem)) from None
    return _rows_of(table, value)


def _rows_of(table: TableFile, value: Any) -> Iterator[Row]:
    """Take a list of rows, or a mapping of prefix to row or to a single `name`."""
    if isinstance(value, dict):
        for key, row in value.items():
            cells = row if isinstance(row, dict) else {"name": row}
            yield _line(value, key), {table.key: key, **cells}
    elif isinstance(value, list):
        for i, row in enumerate(value):
            if not isinstance(row, dict):
                raise table.wrong(_line(value, i), "a row is a mapping of column to value")
            yield _line(value, i), dict(row)
    else:
        raise table.wrong(1, "expected a list of rows, or a mapping of prefix to row")


def _line(container: Any, key: Any) -> int | None:
    """Return the line of an item, from ruamel.yaml."""
    position = getattr(container, "lc", None)
    if position is None or position.data is None:
        return None
    return int(position.data[key][0]) + 1
