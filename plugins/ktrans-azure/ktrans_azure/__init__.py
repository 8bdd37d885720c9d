"""Registers the components of ktrans-azure. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """Return the components of this plugin."""
    return [
        Spec(
            kind="source",
            type="azure_blob",
            build="ktrans_azure.build_source:build",
            config="ktrans_azure.blob_source_config:AzureBlobSourceConfig",
            summary="Azure Blob Storage: blobs, and growing hour blobs of flow logs",
        ),
        Spec(
            kind="sink",
            type="azure_blob",
            build="ktrans_azure.blob_sink:AzureBlobSink",
            config="ktrans_azure.blob_sink:AzureBlobSinkConfig",
            summary="Azure Blob Storage: files as block blobs, visible when an epoch is committed",
            delivery="exactly_once",
        ),
        Spec(
            kind="enricher",
            type="azure_metadata",
            build="ktrans_azure.azure_metadata:AzureMetadataEnricher",
            config="ktrans_azure.azure_metadata:AzureMetadataEnricherConfig",
            summary="Virtual machines, networks and tags of Azure addresses",
        ),
        Spec(
            kind="sink",
            type="azure_monitor",
            build="ktrans_azure.monitor_sink:AzureMonitorSink",
            config="ktrans_azure.monitor_sink:AzureMonitorSinkConfig",
            summary="Tables of Azure Monitor and Microsoft Sentinel, by the Logs Ingestion API",
            delivery="at_least_once",
        ),
        Spec(
            kind="state",
            type="azure_blob",
            build="ktrans_azure.blob_state:AzureBlobState",
            config="ktrans_azure.blob_state:AzureBlobStateConfig",
            summary="A container of Azure Blob Storage, for runs that share nothing else",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
