"""The `azure_blob` state store: what pipelines remember, in a container of Azure Blob Storage.

Source: Microsoft Learn, "Specifying conditional headers for Blob service operations" and "Put Blob".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from pydantic import Field

from ktrans.api import SplitChangedError
from ktrans.state.bucket import BucketState, BucketStateConfig, Found
from ktrans_azure.account import Account, AccountConfig
from ktrans_azure.store import BlobContainer

R = TypeVar("R")

_TAKEN = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"})


class AzureBlobStateConfig(AccountConfig, BucketStateConfig):
    """Keeps what pipelines remember in a blob container, for runs that share nothing else."""

    type: Literal["azure_blob"] = Field(
        default="azure_blob", description="Which component this is.", examples=["azure_blob"]
    )
    container: str = Field(
        min_length=1, description="The container; it must exist.", examples=["ktrans"]
    )


class AzureBlobState(BucketState[AzureBlobStateConfig]):
    """Keeps state in a container."""

    def make_bucket(self) -> AzureStateBucket:
        """Connect to the container."""
        return AzureStateBucket(Account(self.config, self.context), self.config.container)


class AzureStateBucket:
    """A container with conditional writes (`ktrans.state.bucket.StateBucket`)."""

    def __init__(self, account: Account, name: str) -> None:
        self._account = account
        self._name = name
        self._store = BlobContainer(account, name)

    def read(self, key: str) -> Found | None:
        """Return a blob."""

        def work() -> Found:
            stream = self._blob(key).download_blob(max_concurrency=1)
            return Found(stream.readall(), stream.properties.etag)

        try:
            return self._call(key, work)
        except SplitChangedError as error:
            if error.code == "split_vanished":
                return None
            raise

    def create(self, key: str, data: bytes) -> str | None:
        """Write a blob that is not there."""
        from azure.core import MatchConditions

        return self._put(key, data, {"match_condition": MatchConditions.IfMissing})

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write over a version."""
        from azure.core import MatchConditions

        condition = {"match_condition": MatchConditions.IfNotModified, "etag": version}
        return self._put(key, data, condition)

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> str | None:
        from azure.core.exceptions import HttpResponseError

        def work() -> str | None:
            try:
                answer = self._blob(key).upload_blob(data, overwrite=True, **condition)
            except HttpResponseError as error:
                if str(getattr(error.error_code, "value", error.error_code)) in _TAKEN:
                    return None
                raise
            return str(answer["etag"])

        return self._call(key, work)

    def delete(self, key: str) -> None:
        """Remove a blob."""
        try:
            self._call(key, lambda: self._blob(key).delete_blob())
        except SplitChangedError as error:
            if error.code != "split_vanished":
                raise

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Return names in order."""
        return (found.key for found in self._store.list(prefix, after))

    def folders(self, prefix: str) -> Iterator[str]:
        """Return the folders below a prefix."""
        return (found for found in self._store.level(prefix) if isinstance(found, str))

    def uri(self, key: str) -> str:
        """Return a blob's address, without any signature."""
        return self._store.uri(key)

    def check(self) -> None:
        """Check whether the container may be listed."""
        self._store.check()

    def close(self) -> None:
        """Close the connections."""
        self._account.close()

    def _blob(self, key: str) -> Any:
        return self._account.container(self._name).get_blob_client(key)

    def _call(self, key: str, work: Callable[[], R]) -> R:
        parent = f"the container {self._name}"
        return self._account.call(self.uri(key), work, parent=parent)
