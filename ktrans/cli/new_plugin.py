"""`ktrans new-plugin`: writes a plugin distribution to start from."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import distribution
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import click

from ktrans.api.spec import KINDS, Kind
from ktrans.kit.cli import cannot_write

TEMPLATE_KINDS = [kind for kind in KINDS if kind not in {"table", "state", "executor"}]
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

    try:
        written = write_plugin(name, cast("Kind", kind), into)
    except OSError as error:
        raise cannot_write(Path(error.filename or into), error) from error
    root = written[0].parent
    for path in written:
        click.echo(path)
    steps = [
        f"cd {root}",
        "python3 -m venv .venv",
        *(f".venv/bin/pip install {shlex.quote(folder)}" for folder in _checkout()),
        ".venv/bin/pip install -e '.[test]'",
        ".venv/bin/pytest",
    ]
    click.echo("\nnext:\n  " + "\n  ".join(steps), err=True)


def _checkout() -> list[str]:
    """Return the folder that this ktrans was installed from; none if it came from an index."""
    origin = distribution("ktrans").read_text("direct_url.json")
    url = urlsplit(json.loads(origin)["url"]) if origin else None
    is_folder = url is not None and url.scheme == "file" and Path(unquote(url.path)).is_dir()
    return [unquote(url.path)] if url is not None and is_folder else []
