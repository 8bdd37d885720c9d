"""State stores in a bucket: what an object store must be able to do, and the component over it.

Everything of a pipeline lies below `<prefix><pipeline>/`:

    lease.json                  who holds the pipeline, and until when
    log/<number>.json.gz        one transaction each, numbered without gaps
    checkpoints/<number>.db.gz  the whole database as it is after that transaction

The safety of it rests on one thing only: an object is created if there is none of its name, or not
at all. See `ktrans.state.log` and `ktrans.state.lease`.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypeVar

from pydantic import Field

from ktrans.api import ComponentConfig, Context, StateError
from ktrans.kit.units import Duration
from ktrans.state.base import StateStore
from ktrans.state.lease import Lease
from ktrans.state.log import Log
from ktrans.state.log_database import LogDatabase
from ktrans.state.store import Store

C = TypeVar("C", bound="BucketStateConfig")


class Found(NamedTuple):
    """An object.

    Attributes:
        data: its bytes.
        version: changes whenever it is written: ETag, generation.
    """

    data: bytes
    version: str


class StateBucket(Protocol):
    """Small objects with conditional writes, strongly consistent; any thread.

    Errors are mapped as `ktrans.kit.objects.store` says: RetryableError for what may pass, AccessError,
    UnavailableError, ConfigError. A request that was repeated by the SDK may find its own earlier
    attempt in the way; that is for the caller to find out.
    """

    def read(self, key: str) -> Found | None:
        """Give an object; None if there is none."""

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object if there is none of this name; give its version, None if there is."""

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write over one version of an object; None if it is another one by now, or gone."""

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Give the names that begin with `prefix` and sort after `after`, in order."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Give the folders right below a prefix that ends with a slash, with slashes at the end."""

    def uri(self, key: str) -> str:
        """Name an object for people."""

    def check(self) -> None:
        """Find out whether the bucket is there and may be listed (`validate --connect`)."""

    def close(self) -> None:
        """Let go of connections. Safe to call twice."""


class BucketStateConfig(ComponentConfig):
    """What all state stores in buckets have in common."""

    prefix: str = Field(
        default="ktrans/state/",
        min_length=1,
        pattern=r"^[^/].*$",
        description="What the names of all objects begin with; pipelines have folders of their own "
        "below it.",
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
        description="The whole state is written anew after so many transactions, of which an epoch "
        "takes four, so that opening it reads no more of them one by one.",
        examples=[64],
    )


class BucketState(StateStore[C]):
    """Keeps state in a bucket: subclass it and make the bucket."""

    def __init__(self, config: C, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._made: StateBucket | None = None

    @abstractmethod
    def make_bucket(self) -> StateBucket:
        """Connect to the bucket; called on first use."""

    @property
    def bucket(self) -> StateBucket:
        """The bucket."""
        if self._made is None:
            self._made = self.make_bucket()
        return self._made

    @property
    def where(self) -> str:
        """The folder that the pipelines' folders are in."""
        return self.bucket.uri(self._root)

    @property
    def _root(self) -> str:
        return self.config.prefix.rstrip("/") + "/"

    def _log(self, pipeline: str) -> Log:
        return Log(self.bucket, f"{self._root}{pipeline}/")

    @contextmanager
    def hold(self, pipeline: str, run: str = "") -> Iterator[Store]:
        """Take the lease, read what there is, and let the log know."""
        key = f"{self._root}{pipeline}/lease.json"
        lease = Lease(self.bucket, key, self.config.lease_time, pipeline, run)
        with lease.held():
            database = LogDatabase(self._log(pipeline), lease, self.config.checkpoint_entries)
            with Store(database) as store:
                yield store

    @contextmanager
    def look(self, pipeline: str) -> Iterator[Store]:
        """Read what there is into memory."""
        with Store(self._log(pipeline).load().database) as store:
            yield store

    def pipelines(self) -> list[str]:
        """Name the folders."""
        root = self._root
        return sorted(folder[len(root) : -1] for folder in self.bucket.folders(root))

    def check(self) -> None:
        """Find out whether objects can be listed, written once and only once, and removed.

        Raises:
            StateError: the server creates what is there already (`state_unsafe`).
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
        """Let go of connections."""
        made, self._made = self._made, None
        if made is not None:
            made.close()


def unsafe(uri: str) -> StateError:
    """Make the error for a server that does not heed conditions."""
    return StateError(
        f"{uri} was written although it was there: this server ignores If-None-Match, so two runs "
        "could not be kept apart",
        code="state_unsafe",
        hint="keep the state in another place; several S3 look-alikes know no conditional writes",
    )
