"""`ktrans schema`: prints the JSON Schemas of pipeline files and log lines, and the flow schema."""

from __future__ import annotations

import click

from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import show_json


@click.command("schema")
@click.argument(
    "what", type=click.Choice(["config", "flow", "log"]), default="config", metavar="[WHAT]"
)
def command(what: str) -> None:
    """Print the JSON Schema of pipeline files, or the flow schema.

    WHAT is `config` (the default), `flow` or `log`. `config`: the JSON Schema of pipeline files with
    the installed plugins, for editors; save it and begin pipeline files with
    `# yaml-language-server: $schema=PATH`. `flow`: the columns of a row, as JSON. `log`: the JSON
    Schema of a log line.
    """
    if what == "flow":
        from ktrans.flow.descriptions import describe_columns
        from ktrans.flow.schema import SCHEMA_VERSION

        show_json({"version": SCHEMA_VERSION, "columns": describe_columns()})
        return
    if what == "log":
        from ktrans.observe.log_schema import log_schema
        from ktrans.registry.explanations import log_events

        show_json(log_schema(log_events(catalogue())))
        return
    from ktrans.config.schema import pipeline_schema

    show_json(pipeline_schema(catalogue()))
