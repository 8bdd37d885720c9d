"""The base of sinks that add rows to a table of a database.

A subclass names the type of each column, describes the table, and delivers the rows of a task. The
rest is here: the statement that creates the table, new columns, and rows that the table cannot hold.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import Field

from ktrans.api import (
    ConfigError,
    InterruptedRunError,
    RetryableError,
    TaskId,
    UnavailableError,
    Writer,
)
from ktrans.kit.buffered_sink import BufferedSink, Kept
from ktrans.kit.columns import option, require
from ktrans.kit.objects.once import once
from ktrans.kit.retry import Retry, interruptible_sleep, with_retries
from ktrans.kit.rows.json import check_json, json_text
from ktrans.kit.rows.limits import Limit, check_rows
from ktrans.kit.stage_option import BufferedSinkConfig
from ktrans.kit.units import Duration

TYPE = b"type"
"""Metadata of a staged column: its type in the table, if the table is created for these rows."""

_TIMES = ("start_time", "end_time", "logged_at")


class TableSinkConfig(BufferedSinkConfig):
    """Options of sinks that add rows to a table."""

    table: str = Field(
        "flows", min_length=1, description="The table to add rows to.", examples=["flows"]
    )
    create_table: bool = Field(
        False,
        description="Create the table before the first rows, if there is none. Otherwise a run ends, "
        "and it and `validate --connect` print the statement that creates it.",
        examples=[True],
    )
    add_columns: bool = Field(
        False,
        description="Add columns that the table lacks. Otherwise a run ends, and it and "
        "`validate --connect` print the statement that adds them.",
        examples=[True],
    )
    types: dict[str, str] = Field(
        default_factory=dict,
        description="Types of columns, where they are to differ from those chosen by default; for "
        "tables and columns that are created.",
        examples=[{"attrs": "json"}],
    )
    time: str | None = Field(
        None,
        description="The column by which the table is divided into spans of time; by default the "
        "first of start_time, end_time and logged_at that the rows have.",
        examples=["end_time"],
    )
    retry_timeout: Duration = Field(
        60,
        ge=0,
        description="How long to try again while the database is busy or cannot be reached, before the "
        "run ends; the next one resumes.",
        examples=[60, 300],
    )


T = TypeVar("T", bound=TableSinkConfig)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes:
        type: as the database writes it.
        required: whether it refuses nulls.
        filled: whether it may be left out, even though it is required.
    """

    type: str
    required: bool = False
    filled: bool = False


Columns = Mapping[str, TableColumn]


class TableSink(BufferedSink[T]):
    """Adds rows to a table, whose columns have the names of those of the rows."""

    # -- what a subclass says -------------------------------------------------------------------------

    @abc.abstractmethod
    def staged_type(self, field: pa.Field) -> pa.DataType | None:
        """Return the type in which a column is delivered, or None if it has no form in the table.

        A column of nested values that is delivered as text is JSON.
        """

    @abc.abstractmethod
    def column_type(self, field: pa.Field) -> str:
        """Return the type in the table for a column of the rows."""

    @abc.abstractmethod
    def limit(self, column: TableColumn, staged: pa.Field) -> Limit:
        """Return what a column of the table can hold of the rows as they are delivered."""

    @abc.abstractmethod
    def describe(self) -> Columns | None:
        """Look at the table; None if there is none."""

    @abc.abstractmethod
    def creation(self, types: Mapping[str, str], time: str | None) -> list[str]:
        """Return the statements that create the table, each without a semicolon."""

    @abc.abstractmethod
    def addition(self, types: Mapping[str, str]) -> list[str]:
        """Return the statements that add columns."""

    @abc.abstractmethod
    def execute(self, statements: Sequence[str]) -> None:
        """Execute statements that `creation` or `addition` returned."""

    @property
    @abc.abstractmethod
    def where(self) -> str:
        """The table, for messages."""

    def expected(self, columns: Columns, time: str | None) -> Columns:
        """Return the columns of a table that does not exist yet; override it if they get properties."""
        del time
        return columns

    # -- the rows -------------------------------------------------------------------------------------

    def bind(self, schema: pa.Schema) -> None:
        """Choose the form of each column.

        Raises:
            ConfigError: a column has none, or an option names one that is missing.
        """
        check_json(schema)  # names that repeat, types that no database has
        with option("types"):
            require(schema, self.config.types, "types")
        if self.config.time is not None:
            with option("time"):
                require(schema, [self.config.time], "time")
                if not pa.types.is_timestamp(schema.field(self.config.time).type):
                    raise ConfigError(f"column {self.config.time!r} holds no times")
        super().bind(pa.schema([self._staged(field) for field in schema]))

    def _staged(self, field: pa.Field) -> pa.Field:
        kind = self.staged_type(field)
        if kind is None:
            raise ConfigError(
                f"column {field.name!r} of type {field.type} has no form in a table",
                code="type_not_supported",
                hint="leave it out with `columns:`, or convert it with a derive enricher",
            )
        chosen = self.config.types.get(field.name) or self.column_type(field)
        return pa.field(field.name, kind, metadata={TYPE: chosen.encode()})

    def encode(self, batch: pa.RecordBatch) -> Kept:
        """Convert the columns, and refuse the rows that the table cannot hold."""
        columns = [
            _converted(column, kind)
            for column, kind in zip(batch.columns, self._schema.types, strict=True)
        ]
        staged = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        check_rows(staged, self.limits)
        return Kept(staged, staged.num_rows)

    @once
    def limits(self) -> Mapping[str, Limit]:
        """What the columns of the table can hold; the first access looks at the table."""
        columns = self._checked(self.retried(self.describe), self._schema)
        return {
            field.name: self.limit(columns[field.name], field)
            for field in self._schema
            if field.name in columns
        }

    def writer(self, task: TaskId) -> Writer:
        """Return a writer, once the table is known to fit."""
        _ = self.limits
        return super().writer(task)

    def check(self) -> None:
        """Check that rows can be kept, and that the table is there and fits."""
        super().check()
        self._checked(self.describe(), self._schema)

    # -- the table ------------------------------------------------------------------------------------

    def ready(self, schema: pa.Schema) -> Columns:
        """Create the table and its columns if need be, and return its columns; for `deliver`."""
        types, found = _types(schema), self.describe()
        if found is None:
            self._checked(found, schema)
            self.execute(self.creation(types, self.time_column(schema)))
            found = self.describe()
        self._checked(found, schema)  # another process may have created it for other rows
        assert found is not None
        if missing := {name: kind for name, kind in types.items() if name not in found}:
            self.execute(self.addition(missing))
            found = self.describe()
            assert found is not None
        return found

    def retried(self, act: Callable[[], R]) -> R:
        """Call something, and again for `retry_timeout` while it fails in a way that may pass.

        Raises:
            InterruptedRunError: the run gives up meanwhile.
        """
        retry = Retry(None, self.config.retry_timeout, first_wait_secs=0.1, max_wait_secs=5)
        wait = interruptible_sleep(self.context.abandoned, self.context.clock)

        def sleep(secs: float) -> None:
            wait(secs)
            if self.context.abandoned():
                raise InterruptedRunError(f"stopped while {self.where} did not answer")

        return with_retries(act, retry, retry_if=_may_pass, sleep=sleep, health=self.context.health)

    def time_column(self, schema: pa.Schema) -> str | None:
        """Return the column by which the table is divided into spans of time."""
        chosen = (self.config.time, *_TIMES)
        there = [name for name in chosen if name is not None and name in schema.names]
        return there[0] if there else None

    def _checked(self, found: Columns | None, schema: pa.Schema) -> Columns:
        """Return the columns that the table has, or is going to have.

        Raises:
            ConfigError: table or columns are missing, and may not be created.
        """
        types = _types(schema)
        if found is None:
            time = self.time_column(schema)
            if not self.config.create_table:
                raise ConfigError(
                    f"{self.where} does not exist",
                    field="table",
                    code="table_missing",
                    hint=_hint("create_table", self.creation(types, time)),
                )
            return self.expected({name: TableColumn(kind) for name, kind in types.items()}, time)
        missing = {name: kind for name, kind in types.items() if name not in found}
        if missing and not self.config.add_columns:
            raise ConfigError(
                f"{self.where} has no column {next(iter(missing))!r}",
                field="table",
                code="table_column",
                hint=f"{_hint('add_columns', self.addition(missing))}\n"
                "or leave the columns out with `columns:` of the sink",
            )
        for name, column in found.items():
            if column.required and not column.filled and name not in types:
                raise ConfigError(
                    f"{self.where}: column {name!r} needs a value, and the rows have no such column",
                    field="table",
                    code="table_column",
                    hint="give it a default in the table, or add it with a derive enricher",
                )
        return {**{name: TableColumn(kind) for name, kind in missing.items()}, **found}


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (RetryableError, UnavailableError))


def _types(schema: pa.Schema) -> dict[str, str]:
    """Return the types that staged columns have in a table that is created for them."""
    return {field.name: (field.metadata or {})[TYPE].decode() for field in schema}


def _hint(name: str, statements: Sequence[str]) -> str:
    return "\n".join([f"set `{name}: true`, or execute:", *(f"{each};" for each in statements)])


def _converted(column: pa.Array, kind: pa.DataType) -> Any:
    """Return a column in the type in which it is delivered."""
    have = column.type
    if have == kind:
        return column
    if pa.types.is_string(kind) and pa.types.is_nested(have):
        return json_text(column)
    coarser = (
        pa.types.is_timestamp(have) and have.unit == "ns"
    )  # the rest is below what tables have
    return column.cast(kind, safe=not coarser)
