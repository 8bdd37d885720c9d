"""Registers the `postgres` state store. Imports no driver."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="state",
            type="postgres",
            build="ktrans_postgres.state:PostgresState",
            config="ktrans_postgres.config:PostgresStateConfig",
            summary="A PostgreSQL database: for runs of several machines, with backups and failover",
        )
    ]
