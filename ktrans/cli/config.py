"""`ktrans config`: prints a pipeline file as ktrans understands it."""

from __future__ import annotations

import click

from ktrans.cli.pipelines import catalogue, config_argument, load_config
from ktrans.kit.cli import json_option, show_json


@click.group("config")
def command() -> None:
    """Show a pipeline file as ktrans understands it."""


@command.command("print")
@config_argument
@click.option(
    "--origin",
    is_flag=True,
    help="Add a comment to each value: the line where it is set, or # default.",
)
@json_option
def print_(config: str, origin: bool, as_json: bool) -> None:
    """Print a pipeline with all defaults filled in and all secrets masked.

    Included files and the chosen profile are merged. Environment variables are filled in; references
    to files and plugins are not resolved.
    """
    from ktrans.config.show import as_yaml, shown_tree, with_origins

    loaded = load_config(config, catalogue())
    tree = shown_tree(loaded)
    if as_json:
        show_json(tree)
    elif origin:
        click.echo(with_origins(tree, loaded), nl=False)
    else:
        click.echo(as_yaml(tree), nl=False)
