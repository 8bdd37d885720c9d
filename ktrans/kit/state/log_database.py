"""A database in memory whose transactions are written to a log in a bucket.

A transaction is executed in memory, written to the bucket as the entry of the next number, and only
then committed in memory. After each write the lease is checked before the transaction succeeds: see `ktrans.kit.state.transaction_log` for why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ktrans.api import ExitCode, FencedError, KtransError, StateError
from ktrans.api.state import Transaction
from ktrans.kit.retry import with_retries
from ktrans.kit.state import log_events
from ktrans.kit.state.lease import RUNNING, Lease
from ktrans.kit.state.transaction_log import LoadedLog, Statement, TransactionLog, unsafe

CHECKPOINT_BYTES = 4 << 20
"""A log that is longer than this, and than the last checkpoint, is due for another one."""

_log = logging.getLogger("ktrans.state")


class _UncertainError(StateError):
    """The bucket stopped answering during a write: the next run reads whether it arrived."""

    exit_code = ExitCode.TRY_LATER


class LogDatabase:
    """A database in memory that writes its transactions to a log before it commits them.

    Raises:
        StateError: the log is damaged, from a newer ktrans, or the server is not safe.
        FencedError: another run has taken over.
    """

    def __init__(self, log: TransactionLog, lease: Lease, checkpoint_entries: int) -> None:
        self._log = log
        self._lease = lease
        self._every = checkpoint_entries
        self._guard = threading.RLock()
        self._broken: KtransError | None = None
        self._at = self._take()
        self._due = checkpoint_entries
        self._checkpoint_if_due()

    def _take(self) -> LoadedLog:
        """Read the log, and log the takeover after any entry that is still being written."""
        while True:
            at = self._log.load()
            size = self._log.append(at.number + 1, [], self._lease.token)
            if size is not None:
                break
            at.database.close()
            self._lease.confirm()
        at.number, at.entries, at.bytes = at.number + 1, at.entries + 1, at.bytes + size
        once = self._log.takes_once(at.number)
        self._lease.confirm()  # else another run may have taken over and removed the entry
        if not once:
            raise unsafe(self._log.bucket.uri(self._log.key(at.number)))
        return at

    @property
    def where(self) -> str:
        """The log's folder."""
        return self._log.where

    def close(self) -> None:
        """Release the memory."""
        self._at.database.close()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._guard:
            return self._at.database.rows(sql, *values)

    def confirm(self) -> None:
        """Check that this process still holds the pipeline."""
        with self._guard:
            self._check()
            try:
                with_retries(self._lease.confirm, RUNNING)
            except FencedError as error:
                self._broken = error
                raise

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a transaction in memory, and commit it once it is in the bucket."""
        with self._guard:
            self._check()
            with self._at.database.transaction() as db:
                recorder = _Recorder(db)
                yield recorder
                if recorder.statements:
                    self._write(recorder.statements)
            self._checkpoint_if_due()

    def _check(self) -> None:
        if isinstance(self._broken, FencedError):
            raise self._lease.fenced()
        if self._broken is not None:
            raise _UncertainError(
                f"it is not known whether the last write to {self.where} arrived: "
                f"{self._broken.message}",
                code="state_uncertain",
                hint="run again: what was recorded is read back then",
            ) from self._broken

    def _write(self, statements: list[Statement]) -> None:
        try:
            size = self._log.append(self._at.number + 1, statements, self._lease.token)
            if size is None:
                raise self._lease.fenced()
            with_retries(self._lease.confirm, RUNNING)
        except KtransError as error:
            self._broken = error
            raise
        self._at.number += 1
        self._at.entries += 1
        self._at.bytes += size

    def _checkpoint_if_due(self) -> None:
        at = self._at
        long = at.bytes > max(CHECKPOINT_BYTES, at.checkpoint_bytes)
        if at.entries < self._due and not long:
            return
        try:
            at.checkpoint_bytes = self._log.checkpoint(at.number, at.database)
        except KtransError as error:
            # The log is complete without it; it is tried again after as many entries.
            self._due = at.entries + self._every
            at.bytes = 0
            _log.warning(
                "no checkpoint of %s was written: %s",
                self.where,
                error,
                extra={"event": log_events.CHECKPOINT_FAILED},
            )
            return
        at.entries = at.bytes = 0
        self._due = self._every
        try:
            self._log.clean()
        except KtransError as error:
            # It does no harm, and is removed after the next checkpoint.
            _log.warning(
                "old entries of %s were not removed: %s",
                self.where,
                error,
                extra={"event": log_events.CHECKPOINT_FAILED},
            )


class _Recorder:
    """Executes statements, and keeps them for the log."""

    def __init__(self, db: Transaction) -> None:
        self._db = db
        self.statements: list[Statement] = []

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> None:
        """Run one statement."""
        self._db.execute(sql, values)
        self.statements.append([sql, list(values)])

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run a statement for each row."""
        kept = [list(row) for row in rows]
        if kept:
            self._db.executemany(sql, kept)
            self.statements.append([sql, None, kept])
