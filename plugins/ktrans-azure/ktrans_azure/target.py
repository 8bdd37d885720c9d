"""A container of Azure Blob Storage as a place to write objects to.

An object is sent as blocks that are not committed, which no reader and no listing sees, and becomes
visible when the list of its blocks is committed. Source: Microsoft Learn, "Understanding block
blobs", "Put Block" and "Put Block List".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from ktrans.api import AccessError, SplitChangedError, StageLostError
from ktrans.kit.objects.store import MARK, Leftover, NewObject, object_exists
from ktrans_azure.account import Account
from ktrans_azure.errors import code_of, translated
from ktrans_azure.store import TAKEN

_PROBE = "ktrans-probe"
_LOST = frozenset({"InvalidBlockList", "BlobNotFound"})


class BlobTarget:
    """Writes blobs to one container (`ktrans.kit.objects.store.ObjectTarget`).

    Args:
        account: that has it.
        name: the container's.
        block_bytes: size of the blocks.
        tier: access tier of the blobs, or None for the account's default.
    """

    def __init__(self, account: Account, name: str, block_bytes: int, tier: str | None) -> None:
        self._account = account
        self._name = name
        self._tier = tier
        self.part_bytes = block_bytes

    def uri(self, key: str) -> str:
        """Return a blob's address, without any signature."""
        return f"{self._account.url}/{self._name}/{key}"

    def begin(self, new: NewObject) -> BlobUpload:
        """Begin a blob; nothing is sent before its first block."""
        return BlobUpload(self._account, self._blob(new.key), self.uri(new.key), new)

    def publish(self, new: NewObject, token: Any) -> None:
        """Commit a blob's blocks, unless that was done before."""
        uri = self.uri(new.key)
        client = self._blob(new.key)
        # Asked first, since a commit that is repeated would succeed and make another version.
        mark, version = self._published(uri, client)
        if mark == new.mark:
            return
        expected = version if new.ours(mark) else None
        code = self._account.call(uri, lambda: self._commit(client, new, token, expected))
        if code is None or self._published(uri, client)[0] == new.mark:
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
                content_settings=ContentSettings(
                    content_type=token["content_type"],
                    content_encoding=token["content_encoding"] or None,
                ),
                metadata={**token["metadata"], MARK: new.mark},
                standard_blob_tier=StandardBlobTier[self._tier.upper()] if self._tier else None,
                **condition,
            )
        except HttpResponseError as error:
            code = code_of(error)
            if code in _LOST | TAKEN:
                return code
            raise
        return None

    def _published(self, uri: str, client: Any) -> tuple[str | None, str | None]:
        """Return the mark of the blob that is there, and its version."""
        try:
            found = self._account.call(uri, client.get_blob_properties)
        except SplitChangedError:
            return None, None
        return (found.metadata or {}).get(MARK), found.etag

    def discard(self, key: str, token: Any) -> None:
        """Leave uncommitted blocks to Azure, which removes them within a week.

        They can be removed sooner only by a commit, which would show an empty blob for a moment.
        """

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """Return nothing: what was not committed needs no removal, see `discard`."""
        del prefix
        return iter(())

    def check(self) -> None:
        """Check whether the container is there and may be written; leaves nothing behind.

        Asks for a write under a condition that cannot hold: permissions are looked at first.
        """
        from azure.core import MatchConditions

        title = f"the container {self._name}"
        way_in = self._account.config.way_in
        try:
            with translated(title, way_in, parent=None, connecting=True):
                self._blob(_PROBE).upload_blob(
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
        """Release connections."""
        self._account.close()

    def _blob(self, key: str) -> Any:
        return self._account.container(self._name).get_blob_client(key)


class BlobUpload:
    """A blob as blocks that nobody sees."""

    def __init__(self, account: Account, client: Any, uri: str, new: NewObject) -> None:
        self._account = account
        self._client = client
        self._uri = uri
        self._token: dict[str, Any] = {
            "blocks": 0,
            # Another attempt's blocks have other ids, and so cannot be taken for these.
            "attempt": secrets.token_hex(8),
            "content_type": new.content_type,
            "content_encoding": new.content_encoding,
            "metadata": dict(new.metadata),
        }

    def write(self, part: bytes, /) -> None:
        """Send the next block."""
        self._token["blocks"] += 1
        name = _block_ids(self._token)[-1]
        self._account.call(self._uri, lambda: self._client.stage_block(name, part))

    def stage(self) -> Any:
        """Return what committing takes: the blocks are kept by Azure as they came."""
        return self._token

    def abort(self) -> None:
        """Leave the blocks to Azure, see `BlobTarget.discard`."""


def _block_ids(token: Any) -> list[str]:
    return [f"{token['attempt']}{number:06d}" for number in range(token["blocks"])]
