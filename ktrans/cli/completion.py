"""`ktrans completion`: prints the script with which a shell completes `ktrans` commands."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
def command(shell: str) -> None:
    """Print the completion script for a shell: bash, zsh or fish.

    \b
    bash:  eval "$(ktrans completion bash)"        in ~/.bashrc
    zsh:   eval "$(ktrans completion zsh)"         in ~/.zshrc
    fish:  ktrans completion fish > ~/.config/fish/completions/ktrans.fish
    """  # noqa: D301 - the character makes click keep the lines
    from click.shell_completion import get_completion_class

    from ktrans.cli.root import cli

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(cli, {}, "ktrans", "_KTRANS_COMPLETE").source())
