"""Registers the `postgres` sink and state store. Imports no driver."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="sink",
            type="postgres",
            build="ktrans_postgres.sink:PostgresSink",
            config="ktrans_postgres.sink_config:PostgresSinkConfig",
            summary="A table of PostgreSQL or TimescaleDB",
            delivery="exactly_once",
        ),
        Spec(
            kind="state",
            type="postgres",
            build="ktrans_postgres.state:PostgresState",
            config="ktrans_postgres.config:PostgresStateConfig",
            summary="A PostgreSQL database: for runs of several machines, with backups and failover",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
