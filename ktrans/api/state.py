"""State stores: they keep what a pipeline remembers, and let one run at a time write it.

>>> from contextlib import contextmanager
>>> from ktrans.api import ComponentConfig, StateStore
>>> from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
>>> class MemoryState(StateStore[ComponentConfig]):
...     '''Keeps nothing beyond the process, and hands out a copy to look at.'''
...     where = "memory"
...     database = SqliteDatabase(MEMORY)
...     @contextmanager
...     def hold(self, pipeline, run=""):
...         yield self.database
...     @contextmanager
...     def look(self, pipeline):
...         yield SqliteDatabase(MEMORY, self.database.connection.serialize())
...     def pipelines(self):
...         return [name for (name,) in self.database.rows("SELECT name FROM pipelines")]
>>> state = MemoryState(ComponentConfig(type="memory"))
>>> with state.hold("flows") as database, database.transaction() as transaction:
...     _ = transaction.execute("INSERT INTO pipelines VALUES ('flows', 'f', 'h', NULL, NULL, 't')")
>>> state.pipelines()
['flows']

Once another run has taken over a pipeline, every further transaction of the earlier holder raises
FencedError and changes nothing. What the tables hold is the engine's concern.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from ktrans.api.component import C, Component


class Transaction(Protocol):
    """An open transaction.

    The statements are those that SQLite and PostgreSQL both take, with `?` for values, which are
    text, integers, bytes or None.
    """

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> object:
        """Run one statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run a statement once for each row of values."""


class Queryable(Protocol):
    """Something that answers queries."""

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query; within a transaction it sees that transaction's writes."""


class Database(Queryable, Protocol):
    """An open database with the tables of `ktrans.kit.state.tables`; any thread."""

    @property
    def where(self) -> str:
        """The database's name for messages: a path, a URL without secrets."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run one write transaction, durable when the block has ended; an exception undoes it.

        Raises:
            FencedError: another run has taken over; nothing was written.
            StateError, RetryableError, UnavailableError: it cannot be written.
        """

    def confirm(self) -> None:
        """Check that this process still holds the pipeline.

        Raises:
            FencedError: another run has taken over.
        """

    def close(self) -> None:
        """Release connections and memory. Safe to call twice."""


class StateStore(Component[C]):
    """Keeps what pipelines remember.

    Attributes:
        folder: the local folder that it writes to, if it does.
    """

    folder: Path | None = None

    @property
    @abstractmethod
    def where(self) -> str:
        """The place for messages: a path, a URL without secrets."""

    @abstractmethod
    def hold(self, pipeline: str, run: str = "") -> AbstractContextManager[Database]:
        """Hold a pipeline for one run: nobody else writes until the block has ended.

        If another run takes over nevertheless, because this process stood still for too long, then
        every further transaction raises FencedError and changes nothing.

        Args:
            pipeline: the pipeline's name.
            run: the id of the run, shown to those who find the pipeline held.

        Raises:
            LockedError: another run holds it; with `until` if that hold expires by itself.
            StateError: there is a store, but it cannot be used.
            AccessError, UnavailableError, RetryableError, ConfigError: it cannot be reached.
        """

    @abstractmethod
    def look(self, pipeline: str) -> AbstractContextManager[Database]:
        """Return a copy in memory of what is kept, also while a run holds it; empty if nothing is.

        Changes to the copy have no effect on the store. Same errors as `hold`, except LockedError.
        """

    @abstractmethod
    def pipelines(self) -> list[str]:
        """Return the names of the pipelines that something is kept of, in order."""
