"""The `azure_blob` state store: what pipelines remember, in a container of Azure Blob Storage.

Source: Microsoft Learn, "Specifying conditional headers for Blob service operations" and "Put Blob".
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ktrans.kit.state.bucket import BucketState, BucketStateConfig
from ktrans_azure.account import Account, AccountConfig
from ktrans_azure.blob_container import BlobContainer


class AzureBlobStateConfig(AccountConfig, BucketStateConfig, type="azure_blob"):
    """Keeps what pipelines remember in a blob container, for runs that share nothing else."""

    example: ClassVar[dict[str, Any]] = {"account": "myaccount"}

    container: str = Field(
        min_length=1, description="The container; it must exist.", examples=["ktrans"]
    )


class AzureBlobState(BucketState[AzureBlobStateConfig]):
    """Keeps state in a container."""

    def make_bucket(self) -> BlobContainer:
        return BlobContainer(Account(self.config, self.context), self.config.container)
