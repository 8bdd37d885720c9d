"""A container of Azure Blob Storage as an object store, to list, read and write under conditions.

Source: Microsoft Learn, "Blob service REST API": List Blobs, Get Blob, Get Block List.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from ktrans.api import SplitChangedError
from ktrans.kit.objects.store import ObjectInfo, StoredObject
from ktrans_azure.account import Account
from ktrans_azure.errors import azure_errors, code_of

R = TypeVar("R")

TAKEN = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"})
"""Codes of writes whose condition did not hold."""

PAGE_BLOBS = 5000
"""The most that a listing's page may have (List Blobs, `maxresults`)."""


@dataclass(frozen=True, slots=True)
class BlockList:
    """The committed blocks of a block blob at one version.

    Attributes:
        version: the ETag.
        size: of the blob, in bytes.
        blocks: id and size of each block, in order. Empty for a blob that was put in one piece.
    """

    version: str
    size: int
    blocks: tuple[tuple[str, int], ...]

    def digest(self, count: int) -> str:
        """Hash ids and sizes of the first `count` blocks."""
        text = "\n".join(f"{size} {name}" for name, size in self.blocks[:count])
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class BlobContainer:
    """The blobs of one container: an `ObjectStore` and a `ConditionalStore` (`ktrans.kit.objects`)."""

    def __init__(self, account: Account, name: str, *, hierarchical: bool = False) -> None:
        self._account = account
        self._name = name
        self._hierarchical = hierarchical

    @property
    def _client(self) -> Any:
        return self._account.container(self._name)

    def blob(self, key: str) -> Any:
        return self._client.get_blob_client(key)

    @property
    def title(self) -> str:
        """The container, for messages."""
        return f"the container {self._name}"

    def uri(self, key: str) -> str:
        """Return a blob's address, without any signature."""
        return f"{self._account.url}/{self._name}/{key}"

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        if self._hierarchical:
            yield from self._descend(prefix, after)
            return
        pages = self._client.list_blobs(name_starts_with=prefix, results_per_page=PAGE_BLOBS)
        low = after.encode()
        for item in self._items(pages.by_page()):
            if item.name.encode() > low:
                yield _info(item)

    def _descend(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """List folder by folder: flat listings of such an account put a slash before all else."""
        low = after.encode()
        items = {i if isinstance(i, str) else i.key: i for i in self.level(prefix)}
        for name in sorted(items, key=str.encode):
            item = items[name]
            if not isinstance(item, str):
                if name.encode() > low:
                    yield item
            elif name.encode() > low or low.startswith(name.encode()):
                yield from self._descend(name, after)

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        pages = self._client.walk_blobs(
            name_starts_with=prefix, delimiter="/", results_per_page=PAGE_BLOBS
        )
        for item in self._items(pages.by_page()):
            yield _info(item) if hasattr(item, "etag") else item.name

    def _items(self, pages: Any) -> Iterator[Any]:
        title = self.title
        while True:
            page = self._account.call(title, lambda: list(next(pages, ())), parent=title)
            yield from page
            if not pages.continuation_token:
                return

    def stat(self, key: str) -> ObjectInfo | None:
        found = self.unless_gone(key, self.blob(key).get_blob_properties)
        return None if found is None else _info(found)

    def open(self, key: str, version: str, start: int, end: int) -> BlobBody:
        from azure.core import MatchConditions

        with self.reading(key):
            stream = self.blob(key).download_blob(
                offset=start,
                length=end - start,
                etag=f'"{version}"',
                match_condition=MatchConditions.IfNotModified,
                max_concurrency=1,
            )
        if stream.size != end - start:
            raise SplitChangedError(
                f"{self.uri(key)} ends at byte {start + stream.size}, before what was planned",
                code="split_shrank",
            )
        return BlobBody(self, key, stream)

    @contextmanager
    def reading(self, key: str) -> Iterator[None]:
        """Convert the errors of one request for a blob's bytes.

        For a blob that is gone the emulator answers that it has another version.
        """
        try:
            with azure_errors(
                self.uri(key), self._account.config.authentication, parent=self.title
            ):
                yield
        except SplitChangedError as error:
            if error.code != "split_vanished" and self.stat(key) is None:
                raise SplitChangedError(f"{self.uri(key)} is gone", code="split_vanished") from None
            raise

    def blocks(self, key: str) -> BlockList:
        """List a blob's committed blocks, and the version that they make.

        Raises:
            SplitChangedError: the blob is gone.
        """
        client = self.blob(key)
        headers: dict[str, str] = {}

        def keep(response: Any) -> None:
            headers.update({k.lower(): v for k, v in response.http_response.headers.items()})

        committed, _ = self.call(
            key, lambda: client.get_block_list("committed", raw_response_hook=keep)
        )
        size = int(headers["x-ms-blob-content-length"])
        blocks = tuple((str(block.id), int(block.size)) for block in committed)
        return BlockList(_bare(headers["etag"]), size, blocks)

    def read(self, key: str) -> StoredObject | None:
        def work() -> StoredObject:
            stream = self.blob(key).download_blob(max_concurrency=1)
            return StoredObject(stream.readall(), stream.properties.etag)

        return self.unless_gone(key, work)

    def create(self, key: str, data: bytes) -> str | None:
        from azure.core import MatchConditions

        return self._put(key, data, {"match_condition": MatchConditions.IfMissing})

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        from azure.core import MatchConditions

        condition = {"match_condition": MatchConditions.IfNotModified, "etag": version}
        return self._put(key, data, condition)

    def delete(self, key: str) -> None:
        self.unless_gone(key, self.blob(key).delete_blob)

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> str | None:
        from azure.core.exceptions import HttpResponseError

        def work() -> str | None:
            try:
                answer = self.blob(key).upload_blob(data, overwrite=True, **condition)
            except HttpResponseError as error:
                if code_of(error) in TAKEN:
                    return None
                raise
            return str(answer["etag"])

        return self.call(key, work)

    def call(self, key: str, work: Callable[[], R]) -> R:
        """Make requests for a blob (see `Account.call`)."""
        return self._account.call(self.uri(key), work, parent=self.title)

    def unless_gone(self, key: str, work: Callable[[], R]) -> R | None:
        """Do something with a blob; returns None if the blob is gone."""
        try:
            return self.call(key, work)
        except SplitChangedError as error:
            if error.code == "split_vanished":
                return None
            raise

    def check(self) -> None:
        with self.checking():
            next(self._client.list_blobs(results_per_page=1).by_page(), None)

    def checking(self) -> AbstractContextManager[None]:
        """Convert the errors of a request of `validate --connect`."""
        authentication = self._account.config.authentication
        return azure_errors(self.title, authentication, parent=self.title, checking=True)

    def close(self) -> None:
        self._account.close()


class BlobBody:
    """A range of a blob, fetched piece by piece by the SDK while the ETag stays the same."""

    def __init__(self, store: BlobContainer, key: str, stream: Any) -> None:
        self._store = store
        self._key = key
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        with self._store.reading(self._key):
            data: bytes = self._stream.read(size)
        return data

    def close(self) -> None:
        """Do nothing: each piece has its own request."""


def _info(item: Any) -> ObjectInfo:
    return ObjectInfo(item.name, int(item.size), _bare(item.etag), item.last_modified)


def _bare(etag: Any) -> str:
    """Return an ETag without the quotes that headers have and listings lack."""
    return str(etag).strip('"')
