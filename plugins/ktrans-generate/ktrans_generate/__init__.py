"""Registers the `generate` source. Imports neither pyarrow nor numpy."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="source",
            type="generate",
            build="ktrans_generate.source:GenerateSource",
            config="ktrans_generate.source:GenerateSourceConfig",
            summary="Seeded synthetic flow logs",
        )
    ]
