"""A pipeline's tables in PostgreSQL, held by one run: fenced transactions that happen once.

The hold is an advisory lock of the session, which ends with the connection, and a term, which each
new holder increments. Every transaction begins by incrementing the `serial` of its own term: that
locks the row, fails once there is a later term, and shows afterwards whether a transaction whose
COMMIT was not answered took place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.errors import LockNotAvailable
from psycopg.pq import TransactionStatus

from ktrans.api import FencedError, Health, LockedError
from ktrans.kit.retry import Retry, with_retries
from ktrans_postgres.connection import (
    NOTICED_SECS,
    Connection,
    Place,
    is_lost,
    not_connected,
    statement_failed,
)
from ktrans_postgres.tables import ensure, lock_key

T = TypeVar("T")
Statement = tuple[bytes, Sequence[Any], list[Sequence[Any]] | None]
"""SQL, and its values, or the values of each of its executions."""

_NUL = "\ufdd0"
"""Replaces NUL: a Unicode noncharacter, for use within a program."""

_TICK_SECS = 0.1
_RECONNECT = Retry(attempts=None, first_wait_secs=0.05, max_wait_secs=1.0)
_LEAVING_SECS = 1
"""How long to wait for a pipeline that is held: its process may have just died."""

_GHOST_SECS = 10
"""How long the server may take to end this run's earlier session."""


class PostgresDatabase:
    """The tables, on one connection for all threads, which is replaced when it is lost.

    Runs that find the pipeline held see its holder; its sessions are known by a unique token.
    """

    def __init__(
        self,
        place: Place,
        pipeline: str,
        holder: str,
        retry_secs: float,
        token: str,
        health: Health | None = None,
    ) -> None:
        self._place = place
        self._pipeline = pipeline
        self._key = lock_key(place.schema, pipeline)
        self._holder = holder
        self._retry_secs = retry_secs
        self._health = health
        self._name = f"ktrans {token}"
        self._guard = threading.RLock()
        self._connection: Connection | None = None
        self._term = self._serial = 0
        self._open: list[Statement] | None = None
        self._sent = 0
        self._fenced: FencedError | None = None

    @property
    def where(self) -> str:
        """The database, without secrets."""
        return self._place.where

    # -- the hold -----------------------------------------------------------------------------

    def hold(self) -> None:
        """Connect, create the tables if need be, and hold the pipeline.

        Raises:
            LockedError: another run holds it.
            KtransError: the database cannot be reached or used.
        """
        try:
            connection = self._connection = self._place.connect(self._name)
        except psycopg.Error as error:
            raise not_connected(error, self._place) from error
        try:
            ensure(connection, self._place.schema, self.where)
            deadline = time.monotonic() + _LEAVING_SECS
            while not self._locked(connection):
                if time.monotonic() > deadline:
                    raise self._taken(connection)
                time.sleep(_TICK_SECS)
            found = connection.execute(
                "INSERT INTO holds VALUES (%s, 1, 0, %s) ON CONFLICT (pipeline) DO UPDATE "
                "SET term = holds.term + 1, serial = 0, holder = excluded.holder RETURNING term",
                (self._pipeline, self._holder),
            ).fetchone()
        except psycopg.Error as error:
            raise statement_failed(error, self._place) from error
        assert found is not None
        self._term, self._serial = found[0], 0

    def _locked(self, connection: Connection) -> bool:
        got = connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
        return bool(got and got[0])

    def _taken(self, connection: Connection) -> LockedError:
        found = connection.execute(
            "SELECT holder FROM holds WHERE pipeline = %s", (self._pipeline,)
        ).fetchone()
        return LockedError(
            f"another run of pipeline {self._pipeline!r} is under way "
            f"({found[0] if found else 'unknown'})",
            until=datetime.now(UTC) + timedelta(seconds=NOTICED_SECS),
            hint="wait for it to end, or use --if-locked skip in cron to leave quietly; "
            "with --follow a run waits",
        )

    def _retake(self, connection: Connection) -> int:
        """Take the lock again on a new connection; returns the serial of the last transaction.

        The server may not know yet that the old connection is gone, and is told to end it.

        Raises:
            FencedError: another run has taken over meanwhile.
            psycopg.Error: the lock is still held.
        """
        deadline = time.monotonic() + _GHOST_SECS
        while not self._locked(connection):
            self._check(connection)
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = %s AND usename = current_user AND pid <> pg_backend_pid()",
                (self._name,),
            )
            if time.monotonic() > deadline:
                raise LockNotAvailable("the session before this one has not ended yet")
            time.sleep(_TICK_SECS)
        return self._check(connection)  # if it raises, the connection and its lock go

    def _check(self, connection: Connection) -> int:
        found = connection.execute(
            "SELECT term, serial, holder FROM holds WHERE pipeline = %s", (self._pipeline,)
        ).fetchone()
        if found is None or found[0] != self._term:
            raise self._lost_hold(found[2] if found else None)
        return int(found[1])

    def _lost_hold(self, holder: str | None) -> FencedError:
        self._fenced = FencedError(
            f"another run has taken over pipeline {self._pipeline!r} ({holder or 'unknown'}), "
            "after this one lost its connection to the state store",
            hint="nothing is lost: the other run goes on from what was recorded",
        )
        return self._fenced

    # -- what the store asks for ----------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[PostgresDatabase]:
        """Run one transaction; if the connection is lost, send the statements again on a new one."""
        with self._guard:
            self._open, self._sent = [], 0
            try:
                self._do(self._send_on)
                yield self
                self._commit(self._open)
            except BaseException:
                self._undo()
                raise
            finally:
                self._open = None

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> None:
        """Run one statement of the transaction."""
        self._add((_marks(sql), _clean(values), None))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run a statement of the transaction once for each row of values."""
        given = [_clean(row) for row in rows]
        if given:
            self._add((_marks(sql), (), given))

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        text, given = _marks(sql), _clean(values)

        def ask(connection: Connection) -> list[tuple[Any, ...]]:
            if self._open is not None:
                self._send_on(connection)
            return [as_given(row) for row in connection.execute(text, given).fetchall()]

        with self._guard:
            return self._do(ask)

    def confirm(self) -> None:
        """Check that no other run has taken over."""
        with self._guard:
            self._do(self._check)

    def close(self) -> None:
        """Release the pipeline, so that the next run need not wait for the session to end."""
        with self._guard:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.execute("SELECT pg_advisory_unlock(%s)", (self._key,))
            self._drop()

    # -- a connection that is lost and found ------------------------------------------------------

    def _add(self, statement: Statement) -> None:
        assert self._open is not None
        self._open.append(statement)
        self._do(self._send_on)

    def _do(self, act: Callable[[Connection], T]) -> T:
        """Use the connection, and again a new one if it is lost."""

        def once() -> T:
            try:
                return act(self._connected())
            except psycopg.Error as error:
                if is_lost(error):
                    self._drop()
                raise

        retry = replace(_RECONNECT, total_secs=self._retry_secs)
        try:
            return with_retries(once, retry, retry_if=is_lost, health=self._health)
        except psycopg.Error as error:
            make = not_connected if is_lost(error) else statement_failed
            raise make(error, self._place) from error

    def _connected(self) -> Connection:
        if self._fenced is not None:
            raise self._fenced
        if self._connection is None:
            connection = self._place.connect(self._name)
            try:
                self._retake(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _send_on(self, connection: Connection) -> None:
        """Begin if need be, and send the statements that this connection has not been sent."""
        assert self._open is not None
        if not _within(connection):
            self._sent = 0
            connection.execute("BEGIN")
            found = connection.execute(
                "UPDATE holds SET serial = serial + 1 WHERE pipeline = %s AND term = %s "
                "RETURNING serial",
                (self._pipeline, self._term),
            ).fetchone()
            if found is None:
                self._check(connection)
        for statement in self._open[self._sent :]:
            _send(connection, statement)
            self._sent += 1

    def _commit(self, statements: list[Statement]) -> None:
        """Commit. If no answer comes, the serial shows whether it took place."""
        while True:
            self._open = statements
            self._do(self._send_on)
            try:
                self._connected().execute("COMMIT")
            except psycopg.Error as error:
                if not is_lost(error):
                    raise statement_failed(error, self._place) from error
                self._drop()
                self._open = None
                if self._do(self._check) == self._serial:
                    continue
            self._serial += 1
            return

    def _undo(self) -> None:
        """Roll back, or close a connection that fails to; then the server does it."""
        if self._connection is not None:
            try:
                if _within(self._connection):
                    self._connection.execute("ROLLBACK")
            except psycopg.Error:
                self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _within(connection: Connection) -> bool:
    return connection.info.transaction_status is not TransactionStatus.IDLE


def _send(connection: Connection, statement: Statement) -> None:
    text, values, rows = statement
    if rows is None:
        connection.execute(text, values)
    else:
        with connection.cursor() as cursor:
            cursor.executemany(text, rows)


def _marks(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _clean(values: Sequence[Any]) -> Sequence[Any]:
    """Replace the character NUL, which PostgreSQL's texts cannot hold."""
    if any(isinstance(value, str) and "\0" in value for value in values):
        return [v.replace("\0", _NUL) if isinstance(v, str) else v for v in values]
    return values


def as_given(row: Sequence[Any]) -> tuple[Any, ...]:
    """Undo `_clean` in a row of an answer."""
    if any(isinstance(value, str) and _NUL in value for value in row):
        return tuple(v.replace(_NUL, "\0") if isinstance(v, str) else v for v in row)
    return tuple(row)
