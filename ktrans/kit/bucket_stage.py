"""Keeps rows of `BufferedSink` in a bucket that several machines see.

A bucket is named by its address, such as `s3://bucket/prefix/`. It is reached as the state store of its
type reaches it: with the same options and credentials. Rows are objects of a few megabytes there, since
what has to be sent again after an error is then small, and nothing else has to be held in memory.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ktrans.api import ConfigError, ConfigErrors, Context, KtransError, StageLostError
from ktrans.kit.files.private_folder import private_folder
from ktrans.kit.files.staging import os_errors
from ktrans.kit.row_stage import RowStage, StageFile
from ktrans.kit.stage_option import FORMS, SCHEMES

if TYPE_CHECKING:
    from ktrans.kit.objects.store import ConditionalStore
    from ktrans.kit.state.bucket import BucketState

PART_BYTES = 8 << 20
_DEFAULT_PREFIX = "ktrans/staged/"


class BucketStage(RowStage):
    """A folder of a bucket.

    Args:
        state: a state store, of which only the connection is used.
        root: what all keys begin with, with a slash at the end.
        local: where rows are put while they are delivered.
    """

    def __init__(self, state: BucketState[Any], root: str, local: Path) -> None:
        self._state = state
        self._root = root
        self._local = local

    @property
    def _bucket(self) -> ConditionalStore:
        return self._state.bucket

    def begin(self, name: str) -> StageFile:
        """Begin objects that are numbered after the name."""
        return _BucketFile(self._bucket, self._root + name)

    def listed(self) -> set[str]:
        """List the folder."""
        start = len(self._root)
        return {info.key[start:] for info in self._bucket.list(self._root)}

    def there(self, name: str, parts: int, names: set[str]) -> bool:
        """Return whether all parts are there."""
        return all(_part(name, number) in names for number in range(parts))

    @contextlib.contextmanager
    def fetch(self, name: str, parts: int) -> Iterator[Path]:
        """Download the parts into one file."""
        path = self._local / name
        with os_errors(path):
            private_folder(self._local)
            with path.open("wb") as file:
                for number in range(parts):
                    key = self._root + _part(name, number)
                    found = self._bucket.read(key)
                    if found is None:
                        raise StageLostError(f"{self._bucket.uri(key)} has disappeared")
                    file.write(found.data)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """Read the object."""
        found = self._bucket.read(self._root + name)
        return None if found is None else found.data

    def keep(self, name: str, data: bytes) -> None:
        """Write the object."""
        key = self._root + name
        while self._bucket.create(key, data) is None:
            found = self._bucket.read(key)
            if found is not None and (
                found.data == data or self._bucket.replace(key, data, found.version) is not None
            ):
                return

    def remove(self, name: str) -> None:
        """Remove the object."""
        self._bucket.delete(self._root + name)

    def check(self) -> None:
        """Check that objects can be listed, created and removed."""
        self._state.check()

    def close(self) -> None:
        """Release connections."""
        self._state.close()


class _BucketFile:
    def __init__(self, bucket: ConditionalStore, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._parts = _Parts(self._send)
        self._sent = 0
        self.stream = cast("BinaryIO", self._parts)

    def end(self) -> int:
        if self._parts.waiting:
            self._send(bytes(self._parts.waiting))
        self._parts.close()
        return self._sent

    def drop(self) -> None:
        self._parts.close()
        with contextlib.suppress(KtransError):
            for number in range(self._sent):
                self._bucket.delete(_part(self._key, number))

    def _send(self, data: bytes) -> None:
        # None if it exists: the name is ours alone, so an earlier try of this request has made it.
        self._bucket.create(_part(self._key, self._sent), data)
        self._sent += 1


class _Parts(io.RawIOBase):
    """A stream that is cut into parts of `PART_BYTES`; the last one waits."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._size = 0
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._size += len(view)
        self.waiting += view
        while len(self.waiting) >= PART_BYTES:
            self._send(bytes(self.waiting[:PART_BYTES]))
            del self.waiting[:PART_BYTES]
        return len(view)


def _part(name: str, number: int) -> str:
    return f"{name}.{number:05d}"


def bucket_of(address: str, context: Context) -> tuple[BucketState[Any], str]:
    """Return the state store that reaches a bucket, not connected yet, and the prefix.

    Raises:
        ConfigError: the address is incomplete, or the plugin is missing.
    """
    from ktrans.kit.state.bucket import BucketState

    url = urlsplit(address)
    raw = {"type": SCHEMES[url.scheme], **_options(url), **dict(parse_qsl(url.query))}
    assert context.registry is not None
    try:
        config = context.registry.config("state", raw)
    except (ConfigError, ConfigErrors) as error:
        first = error.errors[0] if isinstance(error, ConfigErrors) else error
        raise ConfigError(
            f"the bucket of {url.scheme}:// cannot be reached like this: {first.message}",
            code=first.code,
            hint=f"write {FORMS}; options follow a question mark: ?region=eu-central-1",
        ) from None
    state = context.registry.build("state", config, context)
    assert isinstance(state, BucketState)
    return state, _prefix(url)


def _options(url: SplitResult) -> dict[str, str]:
    """Return the options that the address stands for."""
    if url.scheme != "az":
        return {"bucket": url.netloc}
    account = {"account": url.netloc} if url.netloc else {}
    return {**account, "container": url.path.lstrip("/").partition("/")[0]}


def _prefix(url: SplitResult) -> str:
    path = url.path.lstrip("/")
    if url.scheme == "az":
        path = path.partition("/")[2]
    return f"{path.rstrip('/')}/" if path.strip("/") else _DEFAULT_PREFIX
