"""Registers what ktrans-azure offers. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="source",
            type="azure_blob",
            build="ktrans_azure.source:build",
            config="ktrans_azure.config:AzureBlobSourceConfig",
            summary="Azure Blob Storage: blobs, and growing hour blobs of flow logs",
        ),
        Spec(
            kind="sink",
            type="azure_blob",
            build="ktrans_azure.sink:AzureBlobSink",
            config="ktrans_azure.sink:AzureBlobSinkConfig",
            summary="Azure Blob Storage: files as block blobs, visible when an epoch is committed",
            delivery="exactly_once",
        ),
        Spec(
            kind="state",
            type="azure_blob",
            build="ktrans_azure.state:AzureBlobState",
            config="ktrans_azure.state:AzureBlobStateConfig",
            summary="A container of Azure Blob Storage, for runs that share nothing else",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
