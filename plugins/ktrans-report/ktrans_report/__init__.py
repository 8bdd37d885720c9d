"""Adds the verb `report`. Imports neither pyarrow nor DuckDB nor a charting library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def ktrans_add_commands(cli: click.Group) -> None:
    """Add `ktrans report`."""
    from ktrans_report.command import command

    cli.add_command(command)


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
