"""`ktrans plugins`: lists the installed plugins and whether they work."""

from __future__ import annotations

import click

from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import json_option, show_json, table


@click.command("plugins")
@json_option
def command(as_json: bool) -> None:
    """List the installed plugins and whether they work.

    KTRANS_PLUGINS=a,b loads only these and the built-in components; KTRANS_DISABLE_PLUGINS=a,b loads
    all others. Both take names of distributions or of entry points. KTRANS_PLUGINS_DIR=folder, or
    `ktrans --plugins-dir folder`, adds the single-file plugins of that folder.
    """
    known = catalogue()
    known.accelerator()  # notes it if the native code of a plugin cannot be loaded
    plugins = known.plugins()
    if as_json:
        show_json({"plugins": plugins})
        return
    rows = [
        [
            plugin.distribution,
            plugin.version,
            plugin.name,
            plugin.status,
            _counts(plugin.components),
        ]
        for plugin in plugins
    ]
    click.echo(table(["distribution", "version", "plugin", "status", "components"], rows))
    for plugin in plugins:
        if plugin.error:
            click.echo(f"\n{plugin.origin} ({plugin.name}): {plugin.error}")
        for conflict in plugin.conflicts:
            click.echo(f"\n{plugin.origin} ({plugin.name}): also claimed: {conflict}")


def _counts(components: list[str]) -> str:
    kinds = [component.partition(":")[0] for component in components]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'s' if kinds.count(kind) > 1 else ''}"
        for kind in dict.fromkeys(kinds)
    )
