"""State stores in a bucket: the component, over any object store with conditional writes.

Everything of a pipeline is below `<prefix><pipeline>/`:

    lease.json                  who holds the pipeline, and until when
    log/<number>.json.gz        one transaction each, numbered without gaps
    checkpoints/<number>.db.gz  the whole database as it is after that transaction

Safety rests on one property only: an object is created if none of its name exists, or not at all.
See `ktrans.kit.state.transaction_log` and `ktrans.kit.state.lease`.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from pydantic import Field

from ktrans.api import ComponentConfig
from ktrans.api.state import StateStore
from ktrans.kit.objects.once import once
from ktrans.kit.objects.store import ConditionalStore
from ktrans.kit.state.lease import Lease
from ktrans.kit.state.log_database import LogDatabase
from ktrans.kit.state.sqlite_database import SqliteDatabase
from ktrans.kit.state.transaction_log import TransactionLog, unsafe
from ktrans.kit.units import Duration

C = TypeVar("C", bound="BucketStateConfig")


class BucketStateConfig(ComponentConfig):
    """What all state stores in buckets have in common."""

    prefix: str = Field(
        default="ktrans/state/",
        min_length=1,
        pattern=r"^[^/].*$",
        description="What the names of all objects begin with; each pipeline has a folder below it.",
        examples=["ktrans/state/"],
    )
    lease_time: Duration = Field(
        default=60.0,
        ge=2,
        le=3600,
        description="How long a run holds the pipeline without renewing it, which it does three "
        "times as often: after a crash the next run has to wait for so long.",
        examples=[30],
    )
    checkpoint_entries: int = Field(
        default=64,
        ge=4,
        le=10_000,
        description="The whole state is written again after so many transactions, four for each "
        "epoch, so that opening it reads no more of them one by one.",
        examples=[64],
    )


class BucketState(StateStore[C]):
    """Keeps state in a bucket. A plugin subclasses it and writes `make_bucket`."""

    @abstractmethod
    def make_bucket(self) -> ConditionalStore:
        """Connect to the bucket; called on first use."""

    @once
    def bucket(self) -> ConditionalStore:
        """The bucket."""
        return self.make_bucket()

    @property
    def where(self) -> str:
        """The folder that the pipelines' folders are in."""
        return self.bucket.uri(self._root)

    @property
    def _root(self) -> str:
        return self.config.prefix.rstrip("/") + "/"

    def _log(self, pipeline: str) -> TransactionLog:
        return TransactionLog(self.bucket, f"{self._root}{pipeline}/")

    @contextmanager
    def hold(self, pipeline: str, run: str = "") -> Iterator[LogDatabase]:
        """Take the lease, load the database, and log the takeover."""
        key = f"{self._root}{pipeline}/lease.json"
        lease = Lease(self.bucket, key, self.config.lease_time, pipeline, run)
        with lease.held():
            database = LogDatabase(self._log(pipeline), lease, self.config.checkpoint_entries)
            with closing(database):
                yield database

    @contextmanager
    def look(self, pipeline: str) -> Iterator[SqliteDatabase]:
        """Load the database into memory."""
        with closing(self._log(pipeline).load().database) as database:
            yield database

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines' folders."""
        root = self._root
        folders = (found for found in self.bucket.level(root) if isinstance(found, str))
        return sorted(folder[len(root) : -1] for folder in folders)

    def check(self) -> None:
        """Check whether objects can be listed, created only once, and removed.

        Raises:
            StateError: the server creates an object that exists (`state_unsafe`).
        """
        bucket, key = self.bucket, f"{self._root}.probe-{secrets.token_hex(8)}"
        bucket.check()
        bucket.create(key, b"")
        try:
            if bucket.create(key, b"again") is not None:
                raise unsafe(bucket.uri(key))
        finally:
            bucket.delete(key)

    def close(self) -> None:
        """Release connections."""
        made: ConditionalStore | None = self.__dict__.pop("bucket", None)
        if made is not None:
            made.close()
