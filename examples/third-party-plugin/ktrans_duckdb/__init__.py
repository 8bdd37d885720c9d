"""Registers the sink `duckdb`. Imported for every `ktrans` command, so it imports nothing heavy."""

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="sink",
            type="duckdb",
            build="ktrans_duckdb.sink:DuckdbSink",
            config="ktrans_duckdb.sink:DuckdbSinkConfig",
            summary="Flows into a table of DuckDB",
            delivery="exactly_once",
        )
    ]
