"""Registers the tables `delta` and `iceberg`. Imports none of their libraries."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="table",
            type="delta",
            build="ktrans_lake.delta:DeltaTable",
            config="ktrans_lake.config:DeltaTableConfig",
            summary="A Delta Lake table in the folder of the files",
        ),
        Spec(
            kind="table",
            type="iceberg",
            build="ktrans_lake.iceberg:IcebergTable",
            config="ktrans_lake.config:IcebergTableConfig",
            summary="An Apache Iceberg table in a REST or SQL catalogue",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
