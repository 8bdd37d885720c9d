"""A database in SQLite: a file, or memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ktrans.api import KtransError, RetryableError, StateError
from ktrans.kit.disk import DISK_FULL
from ktrans.kit.files.durable import replace_file
from ktrans.kit.files.private_folder import private_folder
from ktrans.kit.retry import Retry, with_retries
from ktrans.kit.state.tables import STATE_VERSION, too_new, versions

MEMORY = ":memory:"
BUSY_SECS = 30
"""How long to wait for other pipelines that write to the same file."""

_SHARED_BYTES = 32_768
"""The size of the file that SQLite shares between processes; without room it reports an I/O error."""

_SWITCH = Retry(attempts=None, total_secs=BUSY_SECS, first_wait_secs=0.05, max_wait_secs=0.1)


class SqliteDatabase:
    """A SQLite file, or a database in memory; one connection for all threads.

    Transactions are durable when they end (WAL, synchronous=FULL).

    Args:
        path: the file, created if need be; `:memory:` for none.
        image: a serialized database to begin with; only in memory.
        version: the version that older tables are migrated to.

    Raises:
        StateError: it is empty, not a state store, or damaged, or comes from a newer ktrans.
        RetryableError: the disk is full.
    """

    def __init__(
        self, path: Path | str, image: bytes | None = None, *, version: int = STATE_VERSION
    ) -> None:
        self.path = Path(path)
        self._guard = threading.RLock()
        self._db: sqlite3.Connection | None = None
        try:
            if str(path) != MEMORY:
                private_folder(self.path.parent)
                _create(self.path, version)
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECS, isolation_level=None, check_same_thread=False
            )
            if image is not None:
                self._db.deserialize(image)
            self.migrate(version)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise no_space(self.path) from error
            raise StateError(
                f"cannot create the state folder {self.path.parent}: {error.strerror or error}",
                hint="set state.path to a writable place",
                code="state_unwritable",
            ) from error
        except sqlite3.Error as error:
            self.close()
            raise self._failure(error, "use") from error

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        if self._db is None:
            raise StateError(f"the state store {self.path} is not open", code="state_closed")
        return self._db

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def confirm(self) -> None:
        """Do nothing: no other run takes over while the process lives."""

    def migrate(self, wanted: int) -> None:
        """Migrate the tables to a version, unless they have a newer one.

        Raises:
            StateError: they come from a newer ktrans.
        """
        db = self.connection
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > STATE_VERSION:
            self.close()
            raise too_new(self.where, version)
        if not db.in_transaction:
            _write_ahead(db)
            db.execute("PRAGMA synchronous=FULL")
        if version < wanted:
            db.execute("BEGIN IMMEDIATE")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            for statements in versions()[version:wanted]:
                for statement in statements:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version={max(version, wanted)}")
            db.execute("COMMIT")

    def copy_to(self, other: SqliteDatabase) -> None:
        """Copy everything into another database."""
        try:
            self.connection.backup(other.connection)
        except sqlite3.Error as error:
            raise self._failure(error, "read") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run one write transaction; disk-full and the like become StateError."""
        with self._guard:
            db = self.connection
            try:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:  # SQLite rolls back by itself when the disk is full
                        db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._failure(error, "write") from error

    def _failure(self, error: sqlite3.Error, verb: str) -> KtransError:
        """Return what an error of SQLite means: a fault of the disk says nothing of the file."""
        primary = error.sqlite_errorcode & 0xFF  # without the extended code
        if primary == sqlite3.SQLITE_FULL or (
            primary == sqlite3.SQLITE_IOERR and _is_full(self.path.parent)
        ):
            return no_space(self.path)
        if primary == sqlite3.SQLITE_IOERR:
            return RetryableError(
                f"the disk failed to read or write the state store {self.path}: {error}",
                code="state_io",
                hint="check the disk, then run again: it resumes",
            )
        if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return StateError(
                f"the state store {self.path} is damaged, or is something else: {error}",
                hint="restore it from a backup; or move it away, then `ktrans run --new-history` "
                "reads everything again",
                code="state_unusable",
            )
        if verb == "write":
            return StateError(
                f"cannot write the state store {self.path}: {error}",
                hint="is the file, or its folder, read-only?",
                code="state_unwritable",
            )
        return StateError(
            f"cannot {verb} the state store {self.path}: {error}",
            hint="check that the path is right, and that this user may write the file and its folder",
            code="state_unusable",
        )

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._guard:
            try:
                return self.connection.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise self._failure(error, "read") from error


def _is_full(folder: Path) -> bool:
    """Return whether a disk has no room for the file that SQLite shares between processes."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _SHARED_BYTES


def no_space(path: Path) -> RetryableError:
    """Return the error for a disk that is full."""
    return RetryableError(
        f"no space left for the state store {path}",
        code="disk_full",
        hint="make room, then run again: it resumes",
    )


def _create(path: Path, version: int) -> None:
    """Create a file that is missing, whole or not at all: an empty one has lost its content.

    Raises:
        StateError: it is empty.
        OSError: it cannot be created.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size:
            return
        raise StateError(
            f"the state store {path} is an empty file: what it had recorded is lost",
            hint="restore it from a backup; or remove it, then `ktrans run --new-history` reads "
            "everything again",
            code="state_empty",
        )
    path = path.resolve()  # a link to a file that does not exist yet
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # several pipelines may begin with it at the same moment
        if not path.exists():
            with contextlib.closing(SqliteDatabase(MEMORY, version=version)) as database:
                replace_file(path, database.connection.serialize())
    finally:
        os.close(folder)


def _busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log.

    SQLite's own waiting for locks does not cover this switch, and several pipelines may begin with
    a new file at the same moment. The answer is read, or the statement may stay open, and no
    transaction could be committed beside it.
    """
    with_retries(lambda: db.execute("PRAGMA journal_mode=WAL").fetchall(), _SWITCH, retry_if=_busy)
