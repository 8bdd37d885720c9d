"""A log of transactions in a bucket: objects numbered without gaps.

The database itself is in memory. A transaction is executed there, written to the bucket as the
object of the next number on condition that it does not exist, and only then committed in memory. So
the log has one order in any case: of two writers with the same number one fails, and is fenced from
then on.

Opening reads the newest checkpoint and the log after it. The first entry of a new holder records the
takeover; from then on the next number of an earlier holder is taken. Numbers below a checkpoint are
removed in time, and could be created again by a holder that was suspended meanwhile; so the lease is
checked after each write, before the transaction succeeds. By then a holder that was taken over finds
the other's lease.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import secrets
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ktrans.api import StateError
from ktrans.kit.objects.store import ConditionalStore
from ktrans.kit.retry import with_retries
from ktrans.kit.state.lease import OPENING, RUNNING
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.kit.state.tables import STATE_VERSION, too_new

Statement = list[Any]
"""A statement and its values, or a statement, null, and many rows of values."""

READERS = 8
READS = 5
"""How often a log that moves while it is read is read again."""

_log = logging.getLogger("ktrans.state")


@dataclass(slots=True)
class LoadedLog:
    """The content of a log.

    Attributes:
        database: in memory.
        number: of the last entry.
        entries, bytes: the size of the log after the checkpoint.
        checkpoint_bytes: the size of the checkpoint.
    """

    database: SqliteDatabase
    number: int
    entries: int = 0
    bytes: int = 0
    checkpoint_bytes: int = 0


class _MovedError(Exception):
    """An object was removed while the log was read, because there is a newer checkpoint."""


class TransactionLog:
    """The log and the checkpoints of one pipeline."""

    def __init__(self, bucket: ConditionalStore, folder: str) -> None:
        self.bucket = bucket
        self.folder = folder

    @property
    def where(self) -> str:
        """The folder, for messages."""
        return self.bucket.uri(self.folder)

    @property
    def _cure(self) -> str:
        return (
            "restore the object, or, while no run is active, remove all objects below "
            f"{self.where}: then `ktrans run --new-history` reads everything again"
        )

    def key(self, number: int) -> str:
        """Return the name of an entry."""
        return f"{self.folder}log/{number:020}.json.gz"

    def _keys(self, folder: str, after: str = "") -> list[str]:
        return [found.key for found in self.bucket.list(f"{self.folder}{folder}", after)]

    # -- reading ------------------------------------------------------------------------------

    def load(self) -> LoadedLog:
        """Read the newest checkpoint, and the log after it.

        Raises:
            StateError: it is damaged, or comes from a newer ktrans.
        """
        for _ in range(READS):
            try:
                return with_retries(self._load, OPENING)
            except _MovedError as error:
                missing = str(error)
        raise StateError(
            f"{missing} is missing, although later objects exist",
            code="state_damaged",
            hint="no other program, and no lifecycle rule, may remove objects of the state store; "
            f"{self._cure}",
        )

    def _load(self) -> LoadedLog:
        checkpoints = self._keys("checkpoints/")
        base, image, packed = 0, None, b""
        if checkpoints:
            base = _number(checkpoints[-1])
            packed = self._read(checkpoints[-1])
            image = self._unpacked(checkpoints[-1], packed)
        after = self.key(base) if base else ""
        keys = self._keys("log/", after)
        for number, key in enumerate(keys, base + 1):
            if key != self.key(number):
                raise _MovedError(self.bucket.uri(self.key(number)))
        with ThreadPoolExecutor(READERS, thread_name_prefix="state") as readers:
            found = list(readers.map(self._read, keys))
        size, count = sum(map(len, found)), len(found)
        first = self._entry(keys[0], found[0])["state"] if found else STATE_VERSION
        database = SqliteDatabase(MEMORY, image, version=0 if image is not None else first)
        del image
        try:
            # One at a time: an entry may hold the plan of thousands of objects.
            for key in keys:
                _replay(database, self._entry(key, found.pop(0)))
            database.migrate(STATE_VERSION)
        except BaseException:
            database.close()
            raise
        return LoadedLog(database, base + count, count, size, len(packed))

    def _read(self, key: str) -> bytes:
        found = self.bucket.read(key)
        if found is None:
            raise _MovedError(self.bucket.uri(key))
        return found.data

    def _unpacked(self, key: str, data: bytes) -> bytes:
        try:
            text = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(key) from error
        return text

    def _entry(self, key: str, data: bytes) -> dict[str, Any]:
        text = self._unpacked(key, data)
        try:
            entry = json.loads(text)
            version = entry["state"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(key) from error
        if version > STATE_VERSION:
            raise too_new(self.where, version)
        return dict(entry)

    def _damaged(self, key: str) -> StateError:
        return StateError(
            f"{self.bucket.uri(key)} is damaged",
            code="state_damaged",
            hint=f"no other program may write there; {self._cure}",
        )

    # -- writing ------------------------------------------------------------------------------

    def append(self, number: int, statements: list[Statement], holder: str) -> int | None:
        """Write an entry; returns its size, or None if the number is taken by another one."""
        data = self._packed(statements, holder)
        key = self.key(number)
        if with_retries(lambda: self.bucket.create(key, data), RUNNING) is None:
            found = with_retries(lambda: self.bucket.read(key), RUNNING)
            if found is None or found.data != data:  # else an answer was lost, and it is ours
                return None
        return len(data)

    def takes_once(self, number: int) -> bool:
        """Return whether the server refuses to create an entry that exists."""
        found = with_retries(lambda: self.bucket.read(self.key(number)), OPENING)
        return found is None or self.bucket.create(self.key(number), found.data) is None

    def checkpoint(self, number: int, database: SqliteDatabase) -> int:
        """Write all of a database as it is after an entry; return the size."""
        data = gzip.compress(database.connection.serialize(), 1)
        key = f"{self.folder}checkpoints/{number:020}.db.gz"
        with_retries(lambda: self.bucket.create(key, data), OPENING)
        return len(data)

    def clean(self) -> None:
        """Remove all checkpoints but the two newest, and the log up to the older of these."""
        checkpoints = self._keys("checkpoints/")
        if len(checkpoints) < 2:  # noqa: PLR2004  two are kept
            return
        oldest = _number(checkpoints[-2])
        old = list(checkpoints[:-2])
        for key in self._keys("log/"):
            if _number(key) > oldest:
                break
            old.append(key)
        with ThreadPoolExecutor(READERS, thread_name_prefix="state") as cleaners:
            list(cleaners.map(self.bucket.delete, old))

    @staticmethod
    def _packed(statements: list[Statement], holder: str) -> bytes:
        entry = {
            "state": STATE_VERSION,
            "mark": secrets.token_hex(16),
            "holder": holder,
            "statements": statements,
        }
        return gzip.compress(json.dumps(entry, default=_to_json).encode(), 1)


def _replay(database: SqliteDatabase, entry: dict[str, Any]) -> None:
    database.migrate(entry["state"])
    with database.transaction() as db:
        for sql, values, *rows in entry["statements"]:
            if values is not None:
                db.execute(sql, [_from_json(value) for value in values])
            else:
                db.executemany(sql, [[_from_json(value) for value in row] for row in rows[0]])


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _from_json(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


def unsafe(uri: str) -> StateError:
    """Return the error for a server that ignores the conditions of writes."""
    return StateError(
        f"{uri} was written although it exists: this server ignores If-None-Match, so two runs "
        "could not be kept apart",
        code="state_unsafe",
        hint="keep the state in another place; several S3 look-alikes have no conditional writes",
    )


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].partition(".")[0])
