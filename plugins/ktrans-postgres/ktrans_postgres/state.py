"""The `postgres` state store: tables in a schema, for runs of several machines."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from ktrans.api import AccessError, Context
from ktrans.api.state import StateStore
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.kit.state.tables import STATE_VERSION, TABLES, pipeline_column, too_new
from ktrans_postgres.config import PostgresStateConfig
from ktrans_postgres.connection import Connection, Place, not_connected, statement_failed
from ktrans_postgres.database import PostgresDatabase, as_given
from ktrans_postgres.tables import version_of

_ROWS = 5000
"""Rows that are copied at a time."""


class PostgresState(StateStore[PostgresStateConfig]):
    """Keeps state in a database. A hold ends with the connection, however the process ends."""

    def __init__(self, config: PostgresStateConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._place = Place(config, config.schema_name)

    @property
    def where(self) -> str:
        """Host, port, database and schema."""
        return self._place.where

    @contextmanager
    def hold(self, pipeline: str, run: str = "") -> Iterator[PostgresDatabase]:
        """Take the pipeline's lock, and create the tables if need be."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        whose = f"run {run}, " if run else ""
        holder = f"{whose}process {os.getpid()} on {socket.gethostname()}, since {since}"
        database = PostgresDatabase(
            self._place,
            pipeline,
            holder,
            self.config.retry_timeout,
            secrets.token_hex(8),
            self.context.health,
        )
        try:
            database.hold()
            yield database
        finally:
            database.close()

    @contextmanager
    def look(self, pipeline: str) -> Iterator[SqliteDatabase]:
        """Copy the pipeline's rows into memory, as they are at one moment."""
        with closing(SqliteDatabase(MEMORY, version=0)) as copy:
            with self._reading() as connection:
                if connection is not None:
                    copy.migrate(version_of(connection) or 0)
                    _copy(connection, pipeline, copy)
            copy.migrate(STATE_VERSION)
            yield copy

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines in the schema."""
        with self._reading() as connection:
            if connection is None:
                return []
            found = connection.execute("SELECT name FROM pipelines ORDER BY name").fetchall()
            return sorted(row[0] for row in found)

    def check(self) -> None:
        """Check whether this user may connect, and use or create the tables."""
        with self._reading() as connection:
            if connection is not None:
                self._check_tables(connection)
                return
        with self._connected() as connection:
            if not _one(connection, _MAY_CREATE, self._place.schema):
                raise AccessError(
                    f"{self.where}: this user may not create the tables there",
                    hint="grant CREATE on the database for the first run, or create the schema for "
                    f"it: CREATE SCHEMA {self._place.schema} AUTHORIZATION ...",
                )

    def _check_tables(self, connection: Connection) -> None:
        missing = [
            table
            for table in (*TABLES, "holds")
            if not _one(connection, _MAY_WRITE, table) and version_of(connection) == STATE_VERSION
        ]
        if missing:
            raise AccessError(
                f"{self.where}: this user may not write {', '.join(missing)}",
                hint="grant the user SELECT, INSERT, UPDATE, DELETE on all tables of the schema",
            )

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = self._place.connect("ktrans look")
        except psycopg.Error as error:
            raise not_connected(error, self._place) from error
        try:
            yield connection
        except psycopg.Error as error:
            raise statement_failed(error, self._place) from error
        finally:
            connection.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """Return a connection with a view of one moment; None if there are no tables yet."""
        with self._connected() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            version = version_of(connection)
            if version is not None and version > STATE_VERSION:
                raise too_new(self.where, version)
            yield connection if version else None


_MAY_CREATE = (
    "SELECT CASE WHEN to_regnamespace(quote_ident(%(name)s)) IS NULL "
    "THEN has_database_privilege(current_database(), 'CREATE') "
    "ELSE has_schema_privilege(%(name)s, 'CREATE, USAGE') END"
)
_MAY_WRITE = (
    "SELECT to_regclass(%(name)s) IS NOT NULL AND has_table_privilege(%(name)s, 'SELECT') "
    "AND has_table_privilege(%(name)s, 'INSERT') AND has_table_privilege(%(name)s, 'UPDATE') "
    "AND has_table_privilege(%(name)s, 'DELETE')"
)


def _one(connection: Connection, sql: str, name: str) -> Any:
    found = connection.execute(sql.encode(), {"name": name}).fetchone()
    return found and found[0]


def _copy(connection: Connection, pipeline: str, copy: SqliteDatabase) -> None:
    """Copy the rows of a pipeline into a database in memory with tables of the same version."""
    for (table,) in copy.rows("SELECT name FROM sqlite_master WHERE type='table'"):
        key = pipeline_column(table)
        query = sql.SQL("SELECT * FROM {} WHERE {} = %s").format(
            sql.Identifier(table), sql.Identifier(key)
        )
        with connection.cursor(name=f"copy_{table}") as cursor:
            cursor.execute(query, (pipeline,))
            while rows := cursor.fetchmany(_ROWS):
                assert cursor.description is not None
                names = [column.name for column in cursor.description]
                marks = ", ".join("?" * len(names))
                with copy.transaction() as db:
                    db.executemany(
                        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608
                        map(as_given, rows),
                    )
