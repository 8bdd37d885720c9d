"""The SQLite file under the state store: opening, versions, transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrans.api import RetryableError, StateError

if TYPE_CHECKING:
    from typing import Self

STATE_VERSION = 2

_FIRST = """
CREATE TABLE pipelines (
    name TEXT PRIMARY KEY, config_path TEXT NOT NULL, history TEXT NOT NULL,
    source TEXT, position TEXT, updated TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE epochs (
    pipeline TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,
    fingerprint TEXT NOT NULL, plan TEXT NOT NULL, staged TEXT, summary TEXT,
    planned TEXT NOT NULL, recorded TEXT, PRIMARY KEY (pipeline, number)
) WITHOUT ROWID;
CREATE TABLE excluded (
    pipeline TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, uri TEXT NOT NULL,
    kind TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (pipeline, number, key)
) WITHOUT ROWID;
CREATE TABLE remembered (
    pipeline TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (pipeline, key)
) WITHOUT ROWID;
CREATE TABLE set_aside (
    pipeline TEXT NOT NULL, key TEXT NOT NULL, uri TEXT NOT NULL, kind TEXT NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, number INTEGER NOT NULL, since TEXT NOT NULL,
    tries INTEGER NOT NULL, PRIMARY KEY (pipeline, key)
) WITHOUT ROWID;
"""
_SECOND = """
CREATE TABLE kept (
    pipeline TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, part INTEGER NOT NULL,
    whole INTEGER NOT NULL, open INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (pipeline, name, number, part)
);
"""
_VERSIONS = (_FIRST, _SECOND)
"""What each version adds to the one before."""


class Database:
    """A state file: tables, one connection for all threads, durable transactions."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._guard = threading.RLock()
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def open(self, *, create: bool = True) -> Self:
        """Open the file, making it if need be.

        Raises:
            StateError: it is not a state store, is damaged, or comes from a newer ktrans.
        """
        if not create and not self.path.exists():
            raise StateError(
                f"there is no state at {self.path}: no pipeline has run with it yet",
                code="state_missing",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._migrate(self._db)
        except OSError as error:
            raise StateError(
                f"cannot make the state folder {self.path.parent}: {error.strerror or error}",
                hint="set state.path to a place that can be written to",
                code="state_unwritable",
            ) from error
        except sqlite3.Error as error:
            self.close()
            raise StateError(
                f"cannot use {self.path} as a state store: {error}",
                hint="check that the path is right and can be written to; a damaged file can be "
                "moved away, then everything is read again",
                code="state_unusable",
            ) from error
        return self

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def in_memory_copy(self) -> Self:
        """Give an open copy that lives in memory: what a dry run plays with."""
        copy = type(self)(":memory:").open()
        if self.path.exists():
            with type(self)(self.path) as original:
                original.connection().backup(copy.connection())
        return copy

    def _migrate(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > STATE_VERSION:
            self.close()
            raise StateError(
                f"{self.path} was written by a newer ktrans (state version {version}, this one "
                f"knows {STATE_VERSION})",
                hint="upgrade ktrans, or point state.path to another file",
                code="state_too_new",
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if version < STATE_VERSION:
            db.execute("BEGIN IMMEDIATE")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            for tables in _VERSIONS[version:]:
                for statement in tables.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version={STATE_VERSION}")
            db.execute("COMMIT")

    def connection(self) -> sqlite3.Connection:
        """Give the open connection."""
        if self._db is None:
            raise StateError(f"the state store {self.path} is not open", code="state_closed")
        return self._db

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run one write transaction; disk-full and the like become StateError."""
        with self._guard:
            db = self.connection()
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
                if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise RetryableError(
                        f"no space left for the state store {self.path}",
                        code="disk_full",
                        hint="make room, then run again: it resumes",
                    ) from error
                raise StateError(
                    f"cannot write the state store {self.path}: {error}",
                    hint="is the disk full, or the file read-only?",
                    code="state_unwritable",
                ) from error

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Give all rows of a query."""
        with self._guard:
            return self.connection().execute(sql, values).fetchall()
