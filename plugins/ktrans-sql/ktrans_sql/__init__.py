"""Registers the `sql` enricher. Imports neither pyarrow nor DuckDB."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="enricher",
            type="sql",
            build="ktrans_sql.enricher:SqlEnricher",
            config="ktrans_sql.enricher:SqlEnricherConfig",
            summary="Rows and columns from a SQL query, with DuckDB",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
