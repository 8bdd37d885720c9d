"""The `azure_blob` source: any blobs of a container, or the growing hour blobs of flow logs."""

from __future__ import annotations

from functools import cached_property

from ktrans.api import Plan
from ktrans.kit.objects.source import ObjectSource
from ktrans.kit.objects.store import ObjectStore
from ktrans_azure.account import Account, lineage_name
from ktrans_azure.blob_container import BlobContainer
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.event_queue import EventQueue


class AzureBlobSource(ObjectSource[AzureBlobSourceConfig]):
    """Lists blobs, each read once at the ETag that it had."""

    @cached_property
    def container(self) -> BlobContainer:
        config = self.config
        account = Account(config, self.context)
        return BlobContainer(account, config.container, hierarchical=config.hierarchical)

    def namespace(self) -> str:
        return lineage_name(self.config, self.config.container)

    def make_store(self) -> ObjectStore:
        return self.container

    @cached_property
    def queue(self) -> EventQueue | None:
        """The queue that announces blobs, if there is one."""
        if self.config.queue is None:
            return None
        return EventQueue(Account(self.config, self.context), self.config.queue, self.context)

    def check(self) -> None:
        super().check()
        if self.queue is not None:
            self.queue.check()

    def commit(self, plan: Plan) -> None:
        """Delete the messages that the epoch has processed."""
        if self.queue is not None:
            self.queue.delete((plan.position or {}).get("messages", {}))

    def close(self) -> None:
        super().close()
        for name in ("queue", "container"):
            part = self.__dict__.pop(name, None)
            if part is not None:
                part.close()
