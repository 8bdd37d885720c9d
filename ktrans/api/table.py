"""Tables: the metadata of a Delta Lake or Iceberg table, over the files that a sink publishes.

A sink of files with the option `table` publishes its files first, and then lets the table name them in
one commit. Readers of the table see the rows of an epoch from that commit on, all of them at once.

>>> from ktrans.api import ComponentConfig, Table, TableFile, TableLayout, TableMark, TableStore
>>> class ListTable(Table[ComponentConfig]):
...     marks = {}
...     def identity(self, root):
...         return f"list {root}"
...     def stored(self, schema):
...         return schema
...     def without(self, layout, dropped):
...         return dropped
...     def check_fits(self, store, layout):
...         pass
...     def last(self, store, mark):
...         return self.marks.get(mark.writer)
...     def add(self, store, mark, layout, files):
...         if not mark.is_done(self.last(store, mark)):
...             self.marks[mark.writer] = mark
...             print(", ".join(file.path for file in files))
>>> table, store = ListTable(ComponentConfig(type="list")), TableStore("/lake/flows")
>>> layout = TableLayout(None, ())
>>> file = TableFile("date=2026-05-04/a.parquet", 2, 900, ["2026-05-04"], {})
>>> for _ in range(2):
...     table.add(store, TableMark("flows/lake", 1), layout, [file])
date=2026-05-04/a.parquet
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ktrans.api.component import C, Component
from ktrans.api.errors import state_is_older

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TableStore:
    """Where the files of a table are, and how to reach them.

    Attributes:
        root: the folder that all files are below: an absolute path, or `s3://bucket/prefix`,
            `gs://bucket/prefix`, `abfss://container@account.dfs.core.windows.net/prefix`; no slash at
            the end.
        options: endpoint and credentials, by the names of the Rust library object_store, such as
            `aws_access_key_id`.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TablePart:
    """A value by which the files are divided.

    Attributes:
        column: the column of the rows.
        format: strftime directives that make a text of a time; empty for other columns.
        name: what the path calls it, such as `date` in `date=2026-05-01`; or empty.
    """

    column: str
    format: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The columns of the rows, with the types that the files have, and how the files are divided.

    Attributes:
        schema: all columns, also those that the files do not have.
        parts: by which the files are divided, in the order of the path.
        absent: the columns that the files do not have.
    """

    schema: pa.Schema
    parts: Sequence[TablePart]
    absent: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class TableFile:
    """A Parquet file that was published.

    Attributes:
        path: below the root of the store, with slashes.
        rows: how many it has.
        bytes: its size.
        values: for each part of the layout, the text of the value that all rows have; None for null.
        bounds: for columns with statistics: the least and the greatest value, as Parquet stores them
            (times in microseconds, dates in days; None if unknown), and the number of nulls.
    """

    path: str
    rows: int
    bytes: int
    values: Sequence[str | None]
    bounds: Mapping[str, tuple[Any, Any, int]]


@dataclass(frozen=True, slots=True)
class TableMark:
    """What a commit is recognised by.

    Attributes:
        writer: names pipeline, sink and history.
        number: the number of the epoch. Those of a writer grow from commit to commit.
        digest: of the names and numbers of rows of its files; empty if it is not known.
    """

    writer: str
    number: int
    digest: str = ""

    def is_done(self, last: TableMark | None) -> bool:
        """Return whether a table with this last mark of the writer has this commit already.

        Raises:
            StateError: it has later ones, or another commit of this number: the state of the pipeline
                is older than the table.
        """
        if last is None or last.number < self.number:
            return False
        if last.number == self.number and (not last.digest or last.digest == self.digest):
            return True
        raise state_is_older(f"the table of {self.writer}", last.number, self.number)


class Table(Component[C], abc.ABC):
    """Commits files to a table. It keeps the mark of each writer's last commit."""

    @abc.abstractmethod
    def identity(self, root: str) -> str:
        """Return a text that says which table it is, without secrets. No I/O.

        `root` is that of the store.
        """

    @abc.abstractmethod
    def stored(self, schema: pa.Schema) -> pa.Schema:
        """Return a schema with the types that the files must have; text columns may stay dictionaries.

        Raises:
            ConfigError: the table has no type for a column.
        """

    @abc.abstractmethod
    def without(self, layout: TableLayout, dropped: Collection[str]) -> Collection[str]:
        """Return the columns that the files must not have.

        Args:
            layout: of the rows.
            dropped: columns that the user wants only in the path.

        Raises:
            ConfigError: a column would be lost, or the table cannot be divided so.
        """

    @abc.abstractmethod
    def check_fits(self, store: TableStore, layout: TableLayout) -> None:
        """Check that the table can be reached, and can take rows of this layout. Changes nothing.

        Raises:
            ConfigError: the table has a column with another type, or is divided otherwise.
        """

    @abc.abstractmethod
    def last(self, store: TableStore, mark: TableMark) -> TableMark | None:
        """Return the last mark of a mark's writer in the table; None if there is none.

        Its digest matters only if its number is that of `mark`.
        """

    @abc.abstractmethod
    def add(
        self,
        store: TableStore,
        mark: TableMark,
        layout: TableLayout,
        files: Sequence[TableFile],
    ) -> None:
        """Add files in one commit, unless that is done; make the table, and new columns, first.

        Raises:
            ConfigError: as `check_fits`.
            StateError: as `TableMark.is_done`.
        """
