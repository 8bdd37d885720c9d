"""Writes objects to a container of Azure Blob Storage.

An object is sent as uncommitted blocks, which no reader and no listing sees, and becomes visible
when the list of its blocks is committed. Source: Microsoft Learn, "Understanding block
blobs", "Put Block" and "Put Block List".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from ktrans.api import AccessError, SplitChangedError, StageLostError
from ktrans.kit.objects.store import MARK, Leftover, NewObject, object_exists
from ktrans_azure.blob_container import TAKEN, BlobContainer
from ktrans_azure.errors import code_of

_PROBE = "ktrans-probe"
_LOST = frozenset({"InvalidBlockList", "BlobNotFound"})


class BlobTarget:
    """Writes blobs to one container (`ktrans.kit.objects.store.ObjectTarget`)."""

    def __init__(self, container: BlobContainer, block_bytes: int, tier: str | None) -> None:
        self._container = container
        self._tier = tier
        self.part_bytes = block_bytes

    def uri(self, key: str) -> str:
        """Return a blob's address, without any signature."""
        return self._container.uri(key)

    def begin(self, new: NewObject) -> BlobUpload:
        return BlobUpload(self._container, new)

    def publish(self, new: NewObject, token: Any) -> None:
        """Commit a blob's blocks, unless that was done before."""
        uri = self.uri(new.key)
        client = self._container.blob(new.key)
        # Checked first, since a commit that is repeated would succeed and make another version.
        mark, version = self._published(new.key)
        if mark == new.mark:
            return
        expected = version if new.ours(mark) else None
        code = self._container.call(new.key, lambda: self._commit(client, new, token, expected))
        if code is None or self._published(new.key)[0] == new.mark:
            return
        if code in TAKEN:
            raise object_exists(uri)
        raise StageLostError(
            f"{uri} is neither staged nor published: Azure keeps uncommitted blocks for a week"
        )

    def _commit(self, client: Any, new: NewObject, token: Any, expected: str | None) -> str | None:
        """Commit; return the code of the answer if the blocks are gone or a blob is in the way.

        `expected` is the version of a blob of ours that this one takes the place of.
        """
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobBlock, ContentSettings, StandardBlobTier

        blocks = [BlobBlock(name) for name in _block_ids(token)]
        condition: dict[str, Any] = {}
        if new.if_absent and expected is None:
            condition = {"match_condition": MatchConditions.IfMissing}
        elif new.if_absent:
            condition = {"match_condition": MatchConditions.IfNotModified, "etag": expected}
        try:
            client.commit_block_list(
                blocks,
                content_settings=ContentSettings(content_type=token["content_type"]),
                metadata={MARK: new.mark},
                standard_blob_tier=StandardBlobTier[self._tier.upper()] if self._tier else None,
                **condition,
            )
        except HttpResponseError as error:
            code = code_of(error)
            if code in _LOST | TAKEN:
                return code
            raise
        return None

    def _published(self, key: str) -> tuple[str | None, str | None]:
        """Return the mark and the version of the blob that exists."""
        found = self._container.unless_gone(key, self._container.blob(key).get_blob_properties)
        if found is None:
            return None, None
        return (found.metadata or {}).get(MARK), found.etag

    def discard(self, key: str, token: Any) -> None:
        """Do nothing: Azure removes uncommitted blocks within a week.

        They can be removed sooner only by a commit, which would show an empty blob for a moment.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        return (info.key for info in self._container.list(prefix))

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """Return nothing: uncommitted blocks need no removal, see `discard`."""
        del prefix
        return iter(())

    def check(self) -> None:
        """Check whether the container exists and may be written; leaves nothing behind.

        Requests a write under a condition that cannot hold: Azure checks permissions first.
        """
        from azure.core import MatchConditions

        try:
            with self._container.checking():
                self._container.blob(_PROBE).upload_blob(
                    b"", overwrite=True, etag='"0x0"', match_condition=MatchConditions.IfNotModified
                )
        except SplitChangedError:
            return
        except AccessError as error:
            error.hint = (
                "writing needs the role Storage Blob Data Contributor, or a signature with Read, "
                "Create and Write"
            )
            raise

    def close(self) -> None:
        self._container.close()


class BlobUpload:
    """A blob as uncommitted blocks."""

    def __init__(self, container: BlobContainer, new: NewObject) -> None:
        self._container = container
        self._key = new.key
        self._client = container.blob(new.key)
        self._token: dict[str, Any] = {
            "blocks": 0,
            # Another attempt's blocks have other ids.
            "attempt": secrets.token_hex(8),
            "content_type": new.content_type,
        }

    def write(self, part: bytes, /) -> None:
        self._token["blocks"] += 1
        name = _block_ids(self._token)[-1]
        self._container.call(self._key, lambda: self._client.stage_block(name, part))

    def stage(self) -> Any:
        """Return what committing needs: Azure keeps the blocks."""
        return self._token

    def abort(self) -> None:
        """Do nothing, see `BlobTarget.discard`."""


def _block_ids(token: Any) -> list[str]:
    return [f"{token['attempt']}{number:06d}" for number in range(token["blocks"])]
