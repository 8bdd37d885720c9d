"""The contracts of object stores: to list, read and publish objects, and to write conditionally.

Each plugin converts the errors of its SDK to those of `ktrans.api` (see `ktrans.kit.errors`):

    RetryableError     timeouts, broken connections, 5xx, throttling (with `retry_after_secs`)
    SplitChangedError  the object is gone (code `split_vanished`) or has another version
    AccessError        no permission, bad or expired credentials
    UnavailableError   the host does not answer at all (`check` only)
    ConfigError        the bucket or container does not exist, an option makes no sense
    RejectError        the object can never be read (archived, encrypted with a key of others)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from ktrans.api.errors import RunError
from ktrans.api.payload import Json


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it.

    Attributes:
        key: its full name within the bucket or container.
        size: in bytes, as stored.
        version: changes whenever the content does: ETag, generation.
        modified: when it was last written, by the store's clock, with a time zone.
    """

    key: str
    size: int
    version: str
    modified: datetime


class Body(Protocol):
    """The bytes of a range."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes; nothing at the end.

        Raises:
            RetryableError: the connection broke, or nothing came for too long.
        """

    def close(self) -> None:
        """Release the connection. Safe to call twice."""


class Readable(Protocol):
    """Opens objects; any thread."""

    def open(self, key: str, version: str, start: int, end: int) -> Body:
        """Read the bytes [start, end) of an object at exactly this version.

        Raises:
            SplitChangedError: it is gone (code `split_vanished`), or has another version.
        """


class Listable(Protocol):
    """Lists the objects of one bucket or container; any thread."""

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Return the objects whose keys begin with `prefix` and sort after `after`.

        In the order of their keys as UTF-8 bytes; pages are fetched as they are needed.
        """

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        """Return what is directly in a folder: objects, and folders as prefixes with a slash.

        `prefix` is empty, ends with a slash, or is the beginning of names. In no certain order.
        """

    def uri(self, key: str) -> str:
        """Return the object's name for messages, such as `s3://bucket/key`; for "" its beginning."""

    def check(self) -> None:
        """Check whether the bucket exists and may be listed (`validate --connect`)."""

    def close(self) -> None:
        """Release connections. Safe to call twice."""


class ObjectStore(Readable, Listable, Protocol):
    """Lists and reads the objects of one bucket or container; any thread."""

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object; None if it does not exist."""


class StoredObject(NamedTuple):
    """The bytes of a small object.

    Attributes:
        data: its bytes.
        version: changes whenever it is written: ETag, generation.
    """

    data: bytes
    version: str


class ConditionalStore(Listable, Protocol):
    """Reads small objects whole and writes them under conditions, strongly consistent; any thread.

    A request that the SDK repeats may meet its own earlier attempt; the caller has to check that.
    """

    def read(self, key: str) -> StoredObject | None:
        """Return an object; None if it does not exist."""

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that does not exist; returns its version, or None if it exists."""

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Overwrite one version of an object; returns None if it has another version, or is gone."""

    def delete(self, key: str) -> None:
        """Remove an object, if it exists."""


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that is to be written.

    Attributes:
        key: its full name.
        mark: ASCII text, kept with the object as metadata under `MARK`, by which `publish`
            recognizes it: the task and its epoch, a space, and a text unique to this upload.
        content_type: its media type.
        if_absent: whether an object that has this key already makes publishing it an error, unless
            it is `ours`.
    """

    key: str
    mark: str
    content_type: str = "application/octet-stream"
    if_absent: bool = False

    def ours(self, mark: str | None) -> bool:
        """Return whether an object's mark is of any attempt at the same task of the same epoch.

        An epoch that lost what it had staged is processed again, when part of it may be published.
        """
        return mark is not None and mark.partition(" ")[0] == self.mark.partition(" ")[0]


MARK = "ktrans_mark"
"""The name of the metadata that holds an upload's mark; valid in all stores (Azure has no hyphens)."""


class Upload(Protocol):
    """An object that is being written, invisible until it is published. One thread at a time."""

    def write(self, part: bytes, /) -> None:
        """Send the next part; each has the target's `part_bytes`, only the last may be smaller."""

    def stage(self) -> Json:
        """Complete what was sent, durably but invisible.

        Returns:
            A token with which any later process can `publish` or `discard` it.
        """

    def abort(self) -> None:
        """Remove what was sent. Safe after any failure, and after `stage`; never raises."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """An upload that was begun and neither published nor removed.

    Attributes:
        key: the key under which it was to be published.
        token: for `discard`.
    """

    key: str
    token: Json


class ObjectTarget(Protocol):
    """Writes objects to one bucket or container; any thread."""

    part_bytes: int
    """Size of the parts that `Upload.write` gets."""

    def begin(self, new: NewObject) -> Upload:
        """Begin an object. May delay the first request until the first `write` or `stage`."""

    def publish(self, new: NewObject, token: Json) -> None:
        """Make a staged object visible under its key, whole. Idempotent.

        It replaces an object that exists, also with `if_absent` if that is `new.ours`. Only `key`,
        `mark` and `if_absent` of `new` are the same as at `begin`.

        Raises:
            StageLostError: it is not staged, and no object with this mark exists.
            RunError: another writer's object has the key (`if_absent`; code `object_exists`).
        """

    def discard(self, key: str, token: Json) -> None:
        """Remove what was staged for a key, if it still exists; never a published object."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of the objects below a prefix, page by page."""

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """Return uploads below a prefix that were neither published nor discarded."""

    def uri(self, key: str) -> str:
        """Return the object's name for messages."""

    def check(self) -> None:
        """Check whether the bucket exists and may be written; leaves nothing behind."""

    def close(self) -> None:
        """Release connections. Safe to call twice."""


def object_exists(uri: str) -> RunError:
    """Return the error for an object that has the key of a new one."""
    return RunError(
        f"{uri} exists already, and was not written by this epoch",
        code="object_exists",
        hint="remove it or take another path; `if_absent: false` replaces it",
    )
