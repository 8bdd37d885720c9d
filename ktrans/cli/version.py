"""`ktrans version`: prints the versions to put into a bug report."""

from __future__ import annotations

import platform

import click

from ktrans import __version__
from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import json_option, show_json

_LIBRARIES = ("pyarrow", "numpy", "pydantic", "pluggy", "click", "ruamel.yaml", "isal", "msgspec")


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """Print the versions of ktrans, its libraries and its plugins."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"ktrans": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    versions["platform"] = platform.platform()
    known = catalogue()
    native = known.accelerator()
    plugins = {
        plugin.distribution: f"{plugin.version} ({plugin.state})"
        for plugin in known.plugins()
        if plugin.distribution != "ktrans"
    }
    if as_json:
        used = None if native is None else native.name
        show_json({**versions, "accelerator": used, "plugins": plugins})
        return
    versions["accelerator"] = "none, Python does all" if native is None else native.name
    for name, text in {**versions, **plugins}.items():
        click.echo(f"{name:12} {text}")
