"""Answers about the names of addresses, and the cache of them on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ktrans.kit.files.private_folder import private_folder

STALE_SECS = 86_400.0
"""How long an answer is used after it has expired, while it is asked for again."""
_BUSY_SECS = 1.0
_SWEEP_SECS = 3600.0
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS names (address TEXT PRIMARY KEY, name TEXT, expires REAL NOT NULL) "
    "WITHOUT ROWID"
)
_SWEEP = "DELETE FROM names WHERE expires < ?"


class Answer(msgspec.Struct, frozen=True):
    """What DNS said about an address.

    Attributes:
        name: its name, or None.
        expires: when it is no longer true, in seconds since 1970.
        failed: no server gave an answer.
        failed_until: do not ask again before this time, since the last attempt failed.
    """

    name: str | None
    expires: float
    failed: bool = False
    failed_until: float = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether to ask again."""
        return now >= max(self.expires, self.failed_until)


class DiskCache:
    """Answers in an SQLite file that several processes may share.

    Raises:
        OSError, sqlite3.Error: it cannot be used; so do all methods.
    """

    def __init__(self, folder: Path, now: float) -> None:
        private_folder(folder)
        self._lock = threading.Lock()
        path = folder / "dns.sqlite"
        self._database = _open(path, now)
        self._swept = now

    def get(self, addresses: Sequence[str]) -> dict[str, Answer]:
        """Return the answers that are known, the expired ones included."""
        query = "SELECT address, name, expires FROM names WHERE address IN (SELECT value FROM json_each(?))"
        with self._lock:
            rows = self._database.execute(
                query, [msgspec.json.encode(addresses).decode()]
            ).fetchall()
        return {address: Answer(name, expires) for address, name, expires in rows}

    def put(self, answers: Iterable[tuple[str, Answer]], now: float) -> None:
        """Keep answers; those of failures are not kept. Remove old ones every hour."""
        rows = [(text, one.name, one.expires) for text, one in answers if not one.failed]
        with self._lock, self._database:
            if now - self._swept >= _SWEEP_SECS:
                self._database.execute(_SWEEP, [now - STALE_SECS])
                self._swept = now
            self._database.executemany("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def _open(path: Path, now: float) -> sqlite3.Connection:
    """Open the file; one that is damaged is replaced by an empty one."""
    try:
        return _opened(path, now)
    except sqlite3.OperationalError:  # locked, or not allowed
        raise
    except sqlite3.DatabaseError:
        path.unlink()
        for more in ("-wal", "-shm"):
            path.with_name(path.name + more).unlink(missing_ok=True)
        return _opened(path, now)


def _opened(path: Path, now: float) -> sqlite3.Connection:
    path.touch(mode=0o600)
    database = sqlite3.connect(path, timeout=_BUSY_SECS, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # a lost answer is asked for again
        with database:
            database.execute(_SCHEMA)
            database.execute(_SWEEP, [now - STALE_SECS])
    except BaseException:
        database.close()
        raise
    return database
