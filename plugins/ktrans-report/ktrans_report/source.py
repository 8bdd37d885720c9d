"""The files of a lake as DuckDB sees them: one relation, and an expression for each column wanted."""

# ruff: noqa: S608 - queries are built of our own names; those of files go through `quoted` and `named`

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from ktrans_report.columns import TIMES, WANTED, Kind
from ktrans_report.places import File, Found

SQL_KINDS = {"text": "VARCHAR", "whole": "BIGINT", "real": "DOUBLE"}
_NUMBERS = frozenset(
    f"{sign}{name}" for sign in ("", "U") for name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
) | {"DOUBLE", "FLOAT"}


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


class Source:
    """The files as DuckDB sees them."""

    def __init__(self, db: Any, found: Found) -> None:
        self._db = db
        self._table = found.table
        self._text = found.format == "jsonl"
        self._csv = found.format == "csv"
        local = all(file.filesystem is None for file in found.files)
        self.again = found.format == "parquet" and local and not found.table
        names = [] if found.table else _names(db, found.files)
        files = f"[{', '.join(quoted(name) for name in names)}]"
        if found.table:
            self.relation = "table_rows"
            db.register(self.relation, found.table.schema.empty_table())
        elif found.format == "parquet":
            self.relation = self._parquet(files, found.files)
        elif found.format == "csv":
            self.relation = f"read_csv({files}, all_varchar=true, union_by_name=true, header=true)"
        else:
            tops = dict.fromkeys(
                name.split(".")[0] for one in (*TIMES, *WANTED) for name in one.names
            )
            columns = ", ".join(f"{quoted(name)}: 'JSON'" for name in tops)
            self.relation = (
                f"read_ndjson({files}, columns={{{columns}}}, maximum_object_size=67108864)"
            )
        self._members: dict[str, str] = {}
        described = db.sql(f"SELECT * FROM {self.relation} LIMIT 0")
        self.types = dict(zip(described.columns, map(str, described.types), strict=True))

    def begin(self) -> None:
        """Let the relation have rows; those of a table can be read once."""
        if self._table:
            self._db.unregister(self.relation)
            self._db.register(self.relation, self._table.read())

    def _parquet(self, files: str, of: Sequence[File]) -> str:
        """Read Parquet; take columns out of the path where the files do not hold them."""
        plain = f"read_parquet({files}, union_by_name=true, hive_partitioning=false)"
        there = set(self._db.sql(f"SELECT * FROM {plain} LIMIT 0").columns)
        keys = [set(re.findall(r"([^/=]+)=[^/]*/", file.path)) for file in of]
        if not keys or not set.intersection(*keys) or set.union(*keys) & there:
            return plain
        return (
            f"read_parquet({files}, union_by_name=true, hive_partitioning=true,"
            " hive_types_autocast=false)"
        )

    def find(self, name: str) -> str | None:
        """Return the expression for a column, or for a member within structures, if there is one."""
        top, _, rest = name.partition(".")
        if self._text:
            path = f"$.{rest}" if rest else "$"
            return f"({named(top)} ->> {quoted(path)})" if top in self.types else None
        if name in self.types:
            return named(name)
        if not rest or top not in self.types:
            return None
        if self._csv:  # structures are JSON there
            self._members[name] = "VARCHAR"
            whole = f"CASE WHEN json_valid({named(top)}) THEN {named(top)} END"
            return f"(({whole}) ->> {quoted(f'$.{rest}')})"
        expression = ".".join(named(part) for part in name.split("."))
        with contextlib.suppress(Exception):  # DuckDB's binder says whether there is such a member
            found = self._db.sql(f"SELECT {expression} AS x FROM {self.relation} LIMIT 0")
            self._members[name] = str(found.types[0])
            return expression
        return None

    def column(self, names: Sequence[str], kind: Kind) -> str | None:
        """Return an expression of the kind's type for the first names that are there."""
        texts = []
        for name in names:
            expression = self.find(name)
            if expression is None:
                continue
            if any(other.startswith(f"{name}.") for other in names):
                expression = self._unless_structure(name, expression)
            texts.append(_cast(expression, self._type(name), kind))
        if not texts:
            return None
        return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"

    def _unless_structure(self, name: str, expression: str) -> str:
        """Return null for a structure that only has the column's name, where that is JSON text."""
        if self._text:
            return f"CASE WHEN json_type({named(name)}) <> 'OBJECT' THEN {expression} END"
        if self._csv:
            is_json = f"json_valid({expression}) AND starts_with({expression}, '{{')"
            return f"CASE WHEN {is_json} THEN NULL ELSE {expression} END"
        return expression

    def _type(self, name: str) -> str:
        return "VARCHAR" if self._text else self._members.get(name) or self.types[name]


def _cast(expression: str, type_: str, kind: Kind) -> str:
    if kind == "time":
        return _time(expression, type_)
    if kind == "text":
        if type_.startswith(("STRUCT", "MAP")) or type_.endswith("[]"):
            return "NULL::VARCHAR"
        return f"nullif(({expression})::VARCHAR, '')"
    if type_ in _NUMBERS:
        return f"try_cast({expression} AS {SQL_KINDS[kind]})"
    return f"try_cast(({expression})::VARCHAR AS {SQL_KINDS[kind]})"


def _time(expression: str, type_: str) -> str:
    """Return microseconds since 1970 of a time, a text, or a number of any usual unit."""
    if type_.startswith("TIMESTAMP") or type_ == "DATE":
        return f"epoch_us(({expression})::TIMESTAMPTZ)"
    number = f"try_cast(({expression})::VARCHAR AS BIGINT)"
    of_number = (
        f"CASE WHEN {number} IS NULL THEN NULL WHEN abs({number}) < 100000000000"
        f" THEN {number} * 1000000 WHEN abs({number}) < 100000000000000 THEN {number} * 1000"
        f" WHEN abs({number}) < 100000000000000000 THEN {number} ELSE {number} // 1000 END"
    )
    if type_ != "VARCHAR":
        return of_number
    return f"coalesce(epoch_us(try_cast({expression} AS TIMESTAMPTZ)), {of_number})"


def _names(db: Any, files: Sequence[File]) -> list[str]:
    """Name the files for DuckDB; those in object stores by numbers, through a file system."""
    if any(file.filesystem is not None for file in files):
        from ktrans_report.remote import Numbered

        system = Numbered(files)
        db.register_filesystem(system)
        return system.names
    return [re.sub(r"([*?\[])", r"[\1]", file.path) for file in files]
