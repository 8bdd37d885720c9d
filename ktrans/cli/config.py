"""`ktrans config`: a pipeline file as ktrans understands it."""

from __future__ import annotations

import click

from ktrans.cli.common import catalogue, config_argument, debug_option, json_option
from ktrans.cli.failures import show_json


@click.group("config")
def command() -> None:
    """Show a pipeline file as ktrans understands it."""


@command.command("print")
@config_argument
@json_option
@debug_option
def print_(config: str, as_json: bool) -> int:
    """Print a pipeline with all defaults filled in and all secrets masked.

    What comes from files and plugins stays a reference; environment variables are filled in.
    """
    from ktrans.config.load import load_file
    from ktrans.config.show import as_yaml, shown_tree

    tree = shown_tree(load_file(config, catalogue()))
    if as_json:
        show_json(tree)
    else:
        click.echo(as_yaml(tree), nl=False)
    return 0
