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
