"""`ktrans new-plugin`: writes a plugin distribution to start from."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from ktrans.api.spec import KINDS, Kind

TEMPLATE_KINDS = [kind for kind in KINDS if kind != "state"]
"""The kinds of components that there are templates for."""


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(TEMPLATE_KINDS), required=True, help="What it adds to a pipeline."
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Create the plugin's folder in this folder; default: the current one.",
)
def command(name: str, kind: str, into: Path) -> None:
    """Write a working plugin: code, options, tests, packaging, README.

    It can be installed, and passes its tests. Change it into what you need.
    """
    from ktrans.tools.new_plugin import write_plugin

    written = write_plugin(name, cast("Kind", kind), into)
    root = written[0].parent
    for path in written:
        click.echo(path)
    click.echo(
        f"\nnext:\n  cd {root}\n  python3 -m venv .venv\n"
        "  .venv/bin/pip install -e '.[test]'\n  .venv/bin/pytest",
        err=True,
    )
