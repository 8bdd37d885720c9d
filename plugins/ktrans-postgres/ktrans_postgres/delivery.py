"""Delivers the rows of a task: rows and mark in one transaction, on a connection of its own.

The driver of Arrow copies rows in PostgreSQL's binary form, which has none for addresses or JSON
from text. So they go into a temporary table, and from there with casts into the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ktrans.api import KtransError, RetryableError, RunError
from ktrans.kit.buffered_sink import Delivery
from ktrans_postgres.connection import LOST, Place, sink_failed
from ktrans_postgres.tables import lock_key

MARKS = "ktrans_marks"
CREATE_MARKS = (
    "CREATE TABLE IF NOT EXISTS {table} (origin text NOT NULL, epoch bigint NOT NULL, "
    "mark text NOT NULL, PRIMARY KEY (origin, epoch, mark))"
)
LAST_MARK = "SELECT max(epoch) FROM {marks} WHERE origin = {origin}"
_STAGED = "ktrans_staged"

# A process that was suspended and comes back must find the marks of its epoch, or those of a later one.
_TAKE = """
    INSERT INTO {marks} SELECT {origin}, {epoch}, {mark}
    WHERE NOT EXISTS (SELECT FROM {marks} WHERE origin = {origin} AND epoch > {epoch})
    ON CONFLICT DO NOTHING RETURNING 1
"""
_DURABLE = (
    "SET LOCAL synchronous_commit TO on"  # a recorded epoch must survive a crash of the server
)
_SEES_OTHERS = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
"""Whatever the default of the database: marks that others commit while this one waits must be seen."""

_FORGET = "DELETE FROM {marks} WHERE origin = {origin} AND epoch < {epoch}"
_INSERT = "INSERT INTO {table} ({names}) SELECT {values} FROM pg_temp.{staged}"


def text(statement: str, **parts: Any) -> str:
    """Return SQL with identifiers and literals in their places, as text."""
    ready = {
        name: part if isinstance(part, sql.Composable) else sql.Literal(part)
        for name, part in parts.items()
    }
    return sql.SQL(statement).format(**ready).as_string(None)


def deliver(delivery: Delivery, place: Place, table: str, casts: Mapping[str, str]) -> None:
    """Send the rows of a task, unless its mark or that of a later epoch is there.

    Args:
        delivery: the rows.
        place: the database and the schema.
        table: the table's name.
        casts: for each column of the rows the expression that is inserted.

    Raises:
        RetryableError: the connection is lost, or the server is busy; safe to repeat.
    """
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    try:
        uri = make_conninfo(**{**place.parameters(), "application_name": "ktrans sink"})
        with closing(dbapi.connect(uri)) as connection, closing(connection.cursor()) as cursor:
            if _take(cursor, delivery, place):
                _insert(cursor, delivery, sql.Identifier(place.schema, table), casts)
            connection.commit()
    except Error as error:
        raise failed(error, place) from error


def _take(cursor: Any, delivery: Delivery, place: Place) -> bool:
    """Take the mark within the transaction; return whether it is new."""
    parts = {
        "marks": sql.Identifier(place.schema, MARKS),
        "origin": delivery.origin,
        "epoch": delivery.epoch,
        "mark": delivery.mark,
    }
    cursor.execute(_SEES_OTHERS)
    cursor.execute(_DURABLE)
    # One delivery of an origin after the other: marks that another one removes are still seen.
    key = lock_key(place.schema, delivery.origin)
    cursor.execute(text("SELECT pg_advisory_xact_lock({key})", key=key))
    cursor.fetchall()
    cursor.execute(text(_TAKE, **parts))
    if not cursor.fetchall():
        return False
    cursor.execute(text(_FORGET, **parts))
    return True


def _insert(
    cursor: Any, delivery: Delivery, table: sql.Identifier, casts: Mapping[str, str]
) -> None:
    rows = pa.RecordBatchReader.from_batches(delivery.schema, delivery.batches())
    copied = cursor.adbc_ingest(_STAGED, rows, mode="create", temporary=True)
    if copied != delivery.rows:
        raise RunError(f"{copied} of {delivery.rows} rows were copied", code="refused")
    staged = sql.Identifier(_STAGED)
    names = sql.SQL(", ").join(map(sql.Identifier, casts))
    values = sql.SQL(", ".join(casts.values()))
    cursor.execute(text(_INSERT, table=table, names=names, values=values, staged=staged))
    cursor.execute(text("DROP TABLE pg_temp.{staged}", staged=staged))


def failed(error: Any, place: Place) -> KtransError:
    """Return the error of ktrans for one of the driver."""
    state = error.sqlstate or ""
    lines: Sequence[str] = str(error).partition("ERROR:")[2].strip().splitlines()
    said = lines[0] if lines else str(error).splitlines()[0]
    if not state or state.startswith(LOST):
        return RetryableError(f"{place.where}: the connection is lost: {said}", code="connection")
    return sink_failed(f"{place.where}: {said}", state)
