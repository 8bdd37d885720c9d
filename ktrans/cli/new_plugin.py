"""`ktrans new-plugin`: a distribution to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from ktrans.api.spec import KINDS, Kind
from ktrans.cli.common import debug_option

OFFERED = [kind for kind in KINDS if kind != "state"]
"""Kinds that there is something to begin with for; hardly anybody brings a state store."""


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(OFFERED), required=True, help="What it adds to a pipeline."
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder in which the plugin's own folder is made; the current one if not given.",
)
@debug_option
def command(name: str, kind: str, into: Path) -> int:
    """Write a plugin that works: code, options, tests, packaging, README.

    It installs and passes its tests as it is. Change it into what you need.
    """
    from ktrans.tools.new_plugin import write_plugin

    written = write_plugin(name, cast("Kind", kind), into)
    root = written[0].parent
    for path in written:
        click.echo(path)
    click.echo(
        f"\nnow:\n  cd {root}\n  python3 -m venv .venv\n"
        "  .venv/bin/pip install -e '.[test]'\n  .venv/bin/pytest",
        err=True,
    )
    return 0
