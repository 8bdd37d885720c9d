"""What the store's SQL runs on: durable transactions and queries, whatever lies below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Writes(Protocol):
    """An open transaction.

    The statements are those that SQLite and PostgreSQL both take, with `?` for values, which are
    text, integers, bytes or None.
    """

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> object:
        """Run one statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run a statement once for each row of values."""


class Rows(Protocol):
    """What can be asked."""

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query; within a transaction it sees that transaction's writes."""


class Database(Rows, Protocol):
    """An open database with the tables of `ktrans.state.tables`; any thread."""

    @property
    def where(self) -> str:
        """Return its name for messages: a path, a URL without secrets."""

    def transaction(self) -> AbstractContextManager[Writes]:
        """Run one write transaction, durable when the block has ended; an exception undoes it.

        Raises:
            FencedError: another run has taken over; nothing was written.
            StateError, RetryableError, UnavailableError: it cannot be written.
        """

    def confirm(self) -> None:
        """Make sure that this process still holds the pipeline.

        Raises:
            FencedError: another run has taken over.
        """

    def close(self) -> None:
        """Release it. Safe to call twice."""
