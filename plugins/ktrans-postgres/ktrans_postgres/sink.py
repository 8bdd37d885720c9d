"""The `postgres` sink: rows of flows in a table of PostgreSQL or TimescaleDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
import pyarrow as pa
from psycopg import sql

from ktrans.api import AccessError, ConfigError, Context, Dataset, EpochId, RetryableError
from ktrans.api.errors import state_is_older
from ktrans.kit.buffered_sink import Delivery
from ktrans.kit.rows.limits import Limit
from ktrans.kit.table_sink import Columns, TableColumn, TableSink
from ktrans_postgres.columns import cast, column_type, limit_of, staged_type
from ktrans_postgres.connection import (
    Connection,
    Place,
    first_line,
    is_lost,
    not_connected,
    sink_failed,
)
from ktrans_postgres.delivery import CREATE_MARKS, LAST_MARK, MARKS, deliver, text
from ktrans_postgres.sink_config import PostgresSinkConfig
from ktrans_postgres.tables import lock_key

_NAME_BYTES = 63
_COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> ''
    FROM pg_attribute WHERE attrelid = to_regclass({table}) AND attnum > 0 AND NOT attisdropped
    AND attgenerated = '' ORDER BY attnum
"""
_THERE = """
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'),
    to_regclass({marks}) IS NOT NULL
"""
_HYPERTABLE = """SELECT create_hypertable({table}, {time}, if_not_exists => true)"""
_RIGHTS = """
    SELECT has_database_privilege(current_database(), 'TEMPORARY'),
    CASE WHEN to_regclass({table}) IS NULL THEN has_schema_privilege({schema}, 'CREATE')
    ELSE has_table_privilege(to_regclass({table}), 'INSERT') END,
    CASE WHEN to_regclass({marks}) IS NULL THEN has_schema_privilege({schema}, 'CREATE')
    ELSE has_table_privilege(to_regclass({marks}), 'SELECT')
    AND has_table_privilege(to_regclass({marks}), 'INSERT')
    AND has_table_privilege(to_regclass({marks}), 'DELETE') END
"""
_MISSING_RIGHTS = (
    "TEMPORARY on the database",
    "INSERT on the table, or CREATE on the schema if there is none yet",
    f"SELECT, INSERT and DELETE on {MARKS}, or CREATE on the schema if there is none yet",
)


class PostgresSink(TableSink[PostgresSinkConfig]):
    """Adds the rows of a task and its mark in one transaction, so that they arrive once."""

    def __init__(self, config: PostgresSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._place = Place(config, config.schema_name)
        self._table = sql.Identifier(config.schema_name, config.table)
        self._hypertable = self._has_marks = self._compared = False

    # -- columns --------------------------------------------------------------------------------------

    def bind(self, schema: pa.Schema) -> None:
        """Choose the type of each column.

        Raises:
            ConfigError: a name is longer than those of PostgreSQL.
        """
        for name in schema.names:
            if len(name.encode()) > _NAME_BYTES:
                raise ConfigError(f"the name of column {name!r} is longer than {_NAME_BYTES} bytes")
        super().bind(schema)

    def staged_type(self, field: pa.Field) -> pa.DataType | None:
        """Return the type that the driver takes."""
        return staged_type(field.type)

    def column_type(self, field: pa.Field) -> str:
        """Return the type in a table that is created."""
        return column_type(field)

    def limit(self, column: TableColumn, staged: pa.Field) -> Limit:
        """Return what a column holds."""
        return limit_of(column, staged)

    # -- the table ------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """Database and table."""
        return f"table {self.config.table} of {self._place.where}"

    def describe(self) -> Columns | None:
        """Look at the table, and whether TimescaleDB is there."""
        with self._connected() as connection:
            found = connection.execute(text(_COLUMNS, table=self._name).encode()).fetchall()
            rest = connection.execute(text(_THERE, marks=self._marks).encode()).fetchone()
        assert rest is not None
        timescale, self._has_marks = rest
        self._hypertable = timescale and self.config.hypertable == "auto"
        return {name: TableColumn(*rest) for name, *rest in found} or None

    def expected(self, columns: Columns, time: str | None) -> Columns:
        """Return the columns of a new table; the time of a hypertable is required."""
        if not self._hypertable or time is None:
            return columns
        return {**columns, time: TableColumn(columns[time].type, required=True)}

    def creation(self, types: Mapping[str, str], time: str | None) -> list[str]:
        """Return the statements for the table, its division by time, and the table of marks."""
        lines = [f"{_quoted(name)} {kind}" for name, kind in types.items()]
        columns = sql.SQL(",\n    ".join(lines))
        made = [
            text(
                "CREATE TABLE IF NOT EXISTS {table} (\n    {columns}\n)",
                table=self._table,
                columns=columns,
            )
        ]
        if time is not None and self._hypertable:
            made.append(text(_HYPERTABLE, table=self._name, time=time))
        elif time is not None:
            index = sql.Identifier(f"{self.config.table}_{time}"[:_NAME_BYTES])
            made.append(
                text(
                    "CREATE INDEX IF NOT EXISTS {index} ON {table} USING brin ({time})",
                    index=index,
                    table=self._table,
                    time=sql.Identifier(time),
                )
            )
        return [*made, self._create_marks]

    def addition(self, types: Mapping[str, str]) -> list[str]:
        """Return the statement that adds columns."""
        added = ", ".join(
            f"ADD COLUMN IF NOT EXISTS {_quoted(name)} {kind}" for name, kind in types.items()
        )
        return [f"ALTER TABLE {self._table.as_string(None)} {added}"]

    def execute(self, statements: Sequence[str]) -> None:
        """Execute statements in one transaction; one process after the other."""
        key = text("SELECT pg_advisory_xact_lock({key})", key=lock_key(self._place.schema))
        with self._connected() as connection, connection.transaction():
            connection.execute(key.encode())
            for statement in statements:
                connection.execute(statement.encode())

    def check(self) -> None:
        """Check table, columns and rights."""
        super().check()
        rights = text(_RIGHTS, table=self._name, marks=self._marks, schema=self._place.schema)
        with self._connected() as connection:
            found = connection.execute(rights.encode()).fetchone() or ()
        for right, there in zip(_MISSING_RIGHTS, found, strict=True):
            if not there:
                raise AccessError(f"{self.where}: this user lacks {right}", hint="grant it")

    # -- rows -----------------------------------------------------------------------------------------

    def prepare(self, epoch: EpochId) -> None:
        """Remove files of earlier attempts; the first time also look at the marks.

        Raises:
            StateError: the epoch was never decided, and yet there are marks of it, or of a later one.
        """
        super().prepare(epoch)
        if epoch.decided or self._compared:
            return
        last = self.retried(lambda: self._last_mark(epoch))
        if last >= epoch.number:
            raise state_is_older(self.where, last, epoch.number)
        self._compared = True

    def _last_mark(self, epoch: EpochId) -> int:
        """Return the number of the last epoch of a history that has marks, or 0."""
        there = text("SELECT to_regclass({marks}) IS NOT NULL", marks=self._marks)
        table = sql.Identifier(self._place.schema, MARKS)
        last = text(LAST_MARK, marks=table, origin=self.origin(epoch))
        with self._connected() as connection:
            if connection.execute(there.encode()).fetchone() != (True,):
                return 0
            found = connection.execute(last.encode()).fetchone()
        return int(found[0] or 0) if found else 0

    def deliver(self, delivery: Delivery) -> None:
        """Send the rows of one task in a transaction with its mark."""
        self.retried(lambda: self._deliver_once(delivery))

    def _deliver_once(self, delivery: Delivery) -> None:
        columns = self.ready(delivery.schema)
        casts = {name: cast(_quoted(name), columns[name]) for name in delivery.schema.names}
        if not self._has_marks:
            self.execute([self._create_marks])
        deliver(delivery, self._place, self.config.table, casts)

    def outputs(self) -> tuple[str, ...]:
        """Return the address of the table, without secrets."""
        (place,) = self.datasets()
        return (f"{place.namespace}/{place.name}",)

    def datasets(self) -> list[Dataset]:
        """Return the table, as OpenLineage names it."""
        given = self._place.parameters()
        host = f"{given.get('host') or 'localhost'}:{given.get('port') or 5432}"
        name = f"{given.get('dbname') or ''}.{self.config.schema_name}.{self.config.table}"
        return [Dataset(f"postgres://{host}", name)]

    @property
    def _name(self) -> str:
        return self._table.as_string(None)

    @property
    def _marks(self) -> str:
        return sql.Identifier(self._place.schema, MARKS).as_string(None)

    @property
    def _create_marks(self) -> str:
        return text(CREATE_MARKS, table=sql.Identifier(self._place.schema, MARKS))

    # -- the connection -------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = self._place.connect("ktrans sink")
        except psycopg.Error as error:
            raise not_connected(error, self._place) from error
        try:
            yield connection
        except psycopg.Error as error:
            if is_lost(error):
                said = f"{self._place.where}: the connection is lost: {first_line(error)}"
                raise RetryableError(said, code="connection") from error
            said = f"{self._place.where}: {first_line(error)}"
            raise sink_failed(said, error.sqlstate or "") from error
        finally:
            connection.close()


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
