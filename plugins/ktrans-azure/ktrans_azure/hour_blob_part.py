"""The bytes of one part of an hour blob, the same however much the blob has grown since."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ktrans.api import RetryableError, Split, SplitChangedError
from ktrans.kit.objects.reader import ObjectPayload, PlannedObjects, Reader

if TYPE_CHECKING:
    from ktrans_azure.blob_container import BlobContainer

_REPINS = 20
"""How often a blob may be committed again while one piece of it is fetched."""


class PartReader(Reader):
    """Reads parts of blobs, each pinned by the blocks that the blob had up to the part's end.

    `split.data` has key, version (the ETag at the time of the plan), size and start of the part,
    count and digest (of the blocks up to its end; a blob without blocks is pinned by its ETag).
    """

    store: BlobContainer

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._versions: dict[str, str] = {}
        self._lock = threading.Lock()

    def fetch(self, split: Split, start: int, end: int) -> bytes:
        """Read the bytes [start, end) of a part; at its new version if the blob has grown.

        Raises:
            RetryableError: the connection breaks again and again.
            SplitChangedError: the blob is gone or was rewritten.
        """
        before = split.data["start"]
        for _ in range(_REPINS):
            pinned = {"key": split.data["key"], "version": self._version(split)}
            try:
                at_version = Split(split.key, split.uri, None, pinned)
                return super().fetch(at_version, before + start, before + end)
            except SplitChangedError as error:
                if error.code == "split_vanished":
                    raise
                self._pin(split)
        raise RetryableError(f"{split.uri} changes faster than it can be read")

    def _version(self, split: Split) -> str:
        with self._lock:
            version: str = self._versions.get(_name(split)) or split.data["version"]
        return version

    def _pin(self, split: Split) -> None:
        """Find the blob's present version, if the blocks up to the part's end are the same."""
        changed = SplitChangedError(
            f"{split.uri} was rewritten after it was planned: blocks that it had are gone",
            hint="nothing but Azure should write to the containers of flow logs",
        )
        count = split.data["count"]
        if not count:
            raise changed
        blocks = self.store.blocks(split.data["key"])
        if len(blocks.blocks) < count or blocks.digest(count) != split.data["digest"]:
            raise changed
        with self._lock:
            self._versions[_name(split)] = blocks.version

    def forget(self) -> None:
        """Forget the versions found for an earlier plan's parts."""
        with self._lock:
            self._versions.clear()


def _name(split: Split) -> str:
    return f"{split.data['version']} {split.key}"


class PlannedParts(PlannedObjects):
    """Opens the parts of the latest plan."""

    reader: PartReader

    def expect(self, splits: Sequence[Split]) -> None:
        """Replace the plan whose small parts are fetched ahead."""
        self.reader.forget()
        super().expect(splits)

    def open(self, split: Split) -> ObjectPayload:
        """Open a part; positions count from its offset.

        `head` is that of the part: the document's header adds nothing to its records.
        """
        part = super().open(split)
        part.offset = split.data["start"]
        return part
