"""`ktrans config`: a pipeline file as ktrans understands it."""

from __future__ import annotations

import click

from ktrans.cli.common import catalogue, config_argument, debug_option, json_option, load_config
from ktrans.cli.failures import show_json


@click.group("config")
def command() -> None:
    """Show a pipeline file as ktrans understands it."""


@command.command("print")
@config_argument
@click.option(
    "--origin", is_flag=True, help="Say behind each value where it stands; # default if nowhere."
)
@json_option
@debug_option
def print_(config: str, origin: bool, as_json: bool) -> int:
    """Print a pipeline with all defaults filled in and all secrets masked.

    What it includes, and the profile that is chosen, are merged.

    What comes from files and plugins stays a reference; environment variables are filled in.
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
    return 0
