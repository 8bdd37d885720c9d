"""The `azure_blob` sink: files as block blobs, which become visible when an epoch is committed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ktrans.kit.objects.sink import ObjectSink, ObjectSinkConfig
from ktrans.kit.units import Size
from ktrans_azure.account import Account, AccountConfig, lineage_name
from ktrans_azure.blob_container import BlobContainer
from ktrans_azure.blob_target import BlobTarget


class AzureBlobSinkConfig(AccountConfig, ObjectSinkConfig, type="azure_blob"):
    """Block blobs in one container of Azure Blob Storage.

    Blobs that an interrupted run had not committed are never visible; Azure removes their blocks
    within a week.
    """

    example: ClassVar[dict[str, Any]] = {"account": "myaccount"}

    container: str = Field(
        min_length=1, description="The container to write to; it must exist.", examples=["lake"]
    )
    block_size: Size = Field(
        default=8 << 20,
        ge=1 << 16,
        le=1 << 30,
        description="Size of the blocks that blobs are sent in. A blob has at most 50 000.",
        examples=[16 << 20],
    )
    access_tier: Literal["hot", "cool", "cold"] | None = Field(
        default=None,
        description="Access tier of the blobs, by default the account's.",
        examples=["cool"],
    )


class AzureBlobSink(ObjectSink[AzureBlobSinkConfig]):
    """Writes files to a container, exactly once."""

    def namespace(self) -> str:
        return lineage_name(self.config, self.config.container)

    def table_options(self) -> dict[str, str]:
        """Return the credentials of now, for the libraries of tables."""
        account = Account(self.config, self.context)
        try:
            return account.store_options()
        finally:
            account.close()

    def make_target(self) -> BlobTarget:
        config = self.config
        container = BlobContainer(Account(config, self.context), config.container)
        return BlobTarget(container, config.block_size, config.access_tier)
