"""Builds the `azure_blob` source that fits the layout of the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api import Context
from ktrans_azure.blob_source import AzureBlobSource

if TYPE_CHECKING:
    from ktrans_azure.blob_source_config import AzureBlobSourceConfig


def build(config: AzureBlobSourceConfig, context: Context | None = None) -> AzureBlobSource:
    """Build the source for flow logs, for announced blobs, or for all blobs of a container."""
    if config.tails:
        from ktrans_azure.flow_log_source import FlowLogSource

        return FlowLogSource(config, context)
    if config.queue is not None:
        from ktrans_azure.announced_source import AnnouncedBlobSource

        return AnnouncedBlobSource(config, context)
    return AzureBlobSource(config, context)
