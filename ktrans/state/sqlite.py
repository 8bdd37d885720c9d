"""The `sqlite` state store: one file on a disk, for all runs of one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from ktrans.api import AccessError, ComponentConfig, Context, RetryableError, StateError
from ktrans.kit.files.private_folder import private_folder
from ktrans.state.base import StateStore
from ktrans.state.lock import lock
from ktrans.state.store import Store
from ktrans.state.tables import STATE_VERSION, versions

MEMORY = ":memory:"
BUSY_SECS = 30
"""How long to wait for other pipelines that write to the same file."""


class SqliteStateConfig(ComponentConfig):
    """A SQLite file; its locks lie beside it."""

    type: Literal["sqlite"] = Field(
        "sqlite", description="Which component this is.", examples=["sqlite"]
    )
    path: str = Field(
        default=".ktrans/state.db",
        min_length=1,
        description="The SQLite file, relative to the pipeline file; locks lie beside it. It must "
        "be on a disk of this machine: locks of network file systems are not to be trusted.",
        examples=["/var/lib/ktrans/state.db"],
    )


class SqliteState(StateStore[SqliteStateConfig]):
    """Keeps state in a file. The kernel guards the hold: it ends with the process, never before."""

    def __init__(self, config: SqliteStateConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.path = self.context.path(config.path)
        self.folder = self.path.parent

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self.path)

    @contextmanager
    def hold(self, pipeline: str, run: str = "") -> Iterator[Store]:
        """Lock the pipeline and open the file, making it if need be."""
        with lock(self.path, pipeline, run), Store(SqliteDatabase(self.path)) as store:
            yield store

    @contextmanager
    def look(self, pipeline: str) -> Iterator[Store]:
        """Copy the file into memory."""
        del pipeline
        with Store(SqliteDatabase(MEMORY)) as store:
            self._copy_to(store)
            yield store

    def pipelines(self) -> list[str]:
        """Return the name of the pipelines of the file."""
        with self.look("") as store:
            return store.pipelines()

    def check(self) -> None:
        """Check whether the file, or the folder that it is to be in, can be written."""
        folder = self.path.parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK) or (
            self.path.exists() and not os.access(self.path, os.W_OK)
        ):
            raise AccessError(
                f"the state store {self.path} cannot be written",
                hint="give this user the right to, or set state.path to another place",
            )

    def _copy_to(self, store: Store) -> None:
        if self.path.exists():
            # An older file stays as it is: a look must not shut out the ktrans that runs on it.
            original, copy = SqliteDatabase(self.path, version=0), store.database
            assert isinstance(copy, SqliteDatabase)
            try:
                original.connection.backup(copy.connection)
            finally:
                original.close()
            copy.migrate(STATE_VERSION)


class SqliteDatabase:
    """A SQLite file, or a database in memory; one connection for all threads.

    Transactions are durable when they end (WAL, synchronous=FULL).

    Args:
        path: the file, made if need be; `:memory:` for none.
        image: what `serialize` gave of a database, to begin with; only in memory.
        version: that the tables are brought to, if they are older.

    Raises:
        StateError: it is not a state store, is damaged, or comes from a newer ktrans.
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
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECS, isolation_level=None, check_same_thread=False
            )
            if image is not None:
                self._db.deserialize(image)
            self.migrate(version)
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
        """Do nothing: nobody takes over while the process lives."""

    def migrate(self, wanted: int) -> None:
        """Bring the tables to at least a version.

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

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._guard:
            return self.connection.execute(sql, values).fetchall()


def _busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


@retry(
    retry=retry_if_exception(_busy),
    wait=wait_random(0.01, 0.1),
    stop=stop_after_delay(BUSY_SECS),
    reraise=True,
)
def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log.

    SQLite's own waiting for locks does not cover this switch, and several pipelines may begin with
    a new file at the same moment.
    """
    db.execute("PRAGMA journal_mode=WAL")


def too_new(where: str, version: int) -> StateError:
    """Return the error for a store that a newer ktrans has written."""
    return StateError(
        f"{where} was written by a newer ktrans (state version {version}, this one knows "
        f"{STATE_VERSION})",
        hint="upgrade ktrans, or point `state` to another place",
        code="state_too_new",
    )
