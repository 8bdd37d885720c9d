"""Registers the `sql` enricher. Imports neither pyarrow nor DuckDB."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List what this plugin offers."""
    return [
        Spec(
            kind="enricher",
            type="sql",
            build="ktrans_sql.enricher:SqlEnricher",
            config="ktrans_sql.enricher:SqlEnricherConfig",
            summary="Columns and rows by a SQL query, on DuckDB",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
