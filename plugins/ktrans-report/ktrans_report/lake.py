"""The rows of a lake as one table of the columns that charts need, in DuckDB.

What is slow to read, text and objects in a store, is read once into a temporary Parquet file. Memory
stays within `--memory`, whatever the lake's size.
"""

# ruff: noqa: S608 - queries are built of our own names; those of files go through `quoted` and `named`

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktrans.api import AccessError, RunError, UnavailableError, UsageError
from ktrans_report.columns import TIMES, WANTED
from ktrans_report.places import Found
from ktrans_report.source import SQL_KINDS, Source, named, quoted

_ERROR_CODE = "lake_unreadable"
_MAX_US = 4_102_444_800_000_000  # the year 2100: later times are of a broken clock


@dataclass(slots=True)
class Lake:
    """An open lake.

    Attributes:
        db: a DuckDB connection.
        folder: for temporary files; goes when the lake is closed.
        have: for each column, how many rows have a value in it.
        rows: rows in the period.
        outside: rows without a time, which no chart can place.
        totals: whether the rows are totals of a rollup.
        notes: sentences that the reader of the page needs.
        files: how many files were read.
        size: of these, in bytes.
    """

    db: Any
    folder: Path
    have: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    outside: int = 0
    totals: bool = False
    notes: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    start_us: int | None = None
    end_us: int | None = None

    def has(self, *columns: str) -> bool:
        """Return whether rows have values in all of these columns."""
        return all(self.have.get(column) for column in columns)

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """Run a query; give its few rows by name."""
        found = self.db.sql(sql)
        names = found.columns
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one(self, sql: str) -> dict[str, Any]:
        """Run a query that gives one row."""
        return self.ask(sql)[0]

    @contextlib.contextmanager
    def chosen(self, names: Iterable[str]) -> Iterator[None]:
        """Make names the column `x` of a table `chosen` for some queries."""
        import pyarrow as pa

        self.db.register("chosen", pa.table({"x": pa.array(list(names), pa.string())}))
        yield
        self.db.unregister("chosen")

    def store(self, sql: str, name: str) -> None:
        """Run a query into a temporary Parquet file, and make it the view of this name."""
        path = self.folder / f"{name}.parquet"
        self.db.execute(f"COPY ({sql}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION lz4)")
        self.db.execute(
            f"CREATE OR REPLACE VIEW {named(name)} AS"
            f" SELECT * FROM read_parquet({quoted(str(path))})"
        )


@contextlib.contextmanager
def open_lake(
    found: Found, *, start_us: int | None, end_us: int | None, memory: int = 1 << 30
) -> Iterator[Lake]:
    """Read the files into the view `read`; in the end close the lake and remove its files.

    Raises:
        UsageError: no row has a time.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="ktrans-report-", ignore_cleanup_errors=True) as folder:
        config = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{memory}B",
            "temp_directory": f"{folder}/spill",
            "preserve_insertion_order": "false",
        }
        with duckdb.connect(config=config) as db:
            db.execute("SET TimeZone = 'UTC'")
            notes = list(found.notes)
            lake = Lake(db, Path(folder), notes=notes, start_us=start_us, end_us=end_us)
            _read(lake, found)
            yield lake


def _read(lake: Lake, found: Found) -> None:
    lake.files, lake.size = len(found.files), sum(file.size for file in found.files)
    source = Source(lake.db, found)
    select = _select(source, lake)
    source.begin()
    _store_rows(lake, select, again=source.again)
    columns = ", ".join(f"count({named(one.name)}) AS {named(one.name)}" for one in WANTED)
    counts = lake.one(
        f"SELECT count(*) AS n, min(us) AS lo, max(us) AS hi,"
        f" bool_or(total) AS totals, {columns} FROM read"
    )
    lake.rows, lake.totals = counts.pop("n"), bool(counts.pop("totals"))
    if not lake.rows and lake.outside:
        names = ", ".join(one.names[0] for one in TIMES)
        raise UsageError(
            f"none of the {lake.outside:,} rows has a time, so they are not flows",
            code="no_lake",
            hint=f"a lake of flows has one of {names}; rejects are for `ktrans rejects list`",
        )
    low, high = counts.pop("lo"), counts.pop("hi")
    lake.start_us = low if lake.start_us is None else lake.start_us
    lake.end_us = high + 1 if lake.end_us is None and high is not None else lake.end_us
    lake.have = counts


def _store_rows(lake: Lake, select: str, *, again: bool) -> None:
    """Make the rows the view `read`; count those that no time places.

    Local Parquet is quick to read again; everything else is stored.
    """
    if again:
        lake.db.execute(f"CREATE VIEW all_rows AS {select}")
    else:
        lake.store(select, "all_rows")
    broken = f"us IS NULL OR us < 0 OR us >= {_MAX_US}"
    lake.outside = lake.one(f"SELECT count(*) AS n FROM all_rows WHERE {broken}")["n"]
    lake.db.execute(f"CREATE VIEW read AS SELECT * FROM all_rows WHERE NOT ({broken})")


def _select(source: Source, lake: Lake) -> str:
    """Write the query that turns a file's rows into the report's."""
    times = [text for one in TIMES if (text := source.column(one.names, "time"))]
    at = f"coalesce({', '.join(times)})" if times else "NULL::BIGINT"
    begins, window = (source.column(one.names, "time") or "NULL" for one in TIMES[:2])
    columns = [f"{at} AS us", f"{begins} IS NULL AND {window} IS NOT NULL AS total"]
    for one in WANTED:
        text = source.column(one.names, one.kind) or f"NULL::{SQL_KINDS[one.kind]}"
        columns.append(f"{text} AS {named(one.name)}")
    low = lake.start_us if lake.start_us is not None else 0
    high = lake.end_us if lake.end_us is not None else _MAX_US
    select = f"SELECT {', '.join(columns)} FROM {source.relation}"
    return (
        f"SELECT * FROM ({select}) WHERE (us >= {low} AND us < {high}) OR us IS NULL"
        f" OR us >= {_MAX_US} OR us < 0"
    )


@contextlib.contextmanager
def reading(found: Found) -> Iterator[None]:
    """Turn errors of DuckDB and file systems into errors of ktrans."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise RunError(
            "the rows do not fit into the memory that the report may take",
            code="report_memory",
            hint="give more with --memory, or look at less with --from and --to",
        ) from None
    except PermissionError as error:
        raise AccessError(f"cannot read {error.filename}: permission denied") from None
    except OSError as error:
        raise UnavailableError(f"cannot read the lake: {str(error).splitlines()[0]}") from None
    except duckdb.Error as error:
        place = found.files[0].name if len(found.files) == 1 else "the lake"
        raise RunError(
            f"cannot read {place}: {str(error).splitlines()[0]}",
            code=_ERROR_CODE,
            hint="a file may be damaged, or of another format than its name says",
        ) from None
