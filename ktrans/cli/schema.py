"""`ktrans schema`: the JSON Schema of pipeline files, and the flow schema."""

from __future__ import annotations

import click

from ktrans.cli.common import catalogue, debug_option
from ktrans.cli.failures import show_json


@click.command("schema")
@click.argument("what", type=click.Choice(["config", "flow"]), default="config", metavar="[WHAT]")
@debug_option
def command(what: str) -> int:
    """Print the JSON Schema of pipeline files, or the flow schema.

    WHAT is `config` (the default): the JSON Schema of pipeline files with exactly the plugins that
    are installed, for editors; save it and begin pipeline files with
    `# yaml-language-server: $schema=PATH`. Or `flow`: the columns of a row, as JSON.
    """
    if what == "flow":
        from ktrans.config.reference import flow_columns
        from ktrans.flow.schema import SCHEMA_VERSION

        show_json({"version": SCHEMA_VERSION, "columns": flow_columns()})
        return 0
    from ktrans.config.schema import pipeline_schema

    show_json(pipeline_schema(catalogue()))
    return 0
