"""The group of all verbs. It knows what each is for without importing it."""

from __future__ import annotations

import importlib
import os

import click

from ktrans import __version__
from ktrans.cli.common import note_debug

VERBS: dict[str, str] = {
    "init": "Write a pipeline file with comments, and the schema that editors check it by.",
    "run": "Run a pipeline: read what is new, write it to the sinks, remember it.",
    "validate": "Check pipeline files without moving any data.",
    "test": "Run the tests of pipelines: `tests:` in the file, and FILE.tests.yaml beside FILE.yaml.",
    "plan": "Show what a run would read and write, and do none of it.",
    "graph": "Draw a pipeline, with what goes from each component to the next.",
    "preview": "Show some rows after any stage; write and remember nothing.",
    "components": "List the sources, decoders, enrichers, formats, sinks and state stores there are.",
    "plugins": "List the installed plugins and whether they work.",
    "new-plugin": "Write a plugin that works: code, options, tests, packaging, README.",
    "schema": "Print the JSON Schema of pipeline files, or the flow schema.",
    "config": "Show a pipeline file as ktrans understands it.",
    "state": "Show, move or forget what a pipeline has done, or go back to an earlier time.",
    "rejects": "Look at what could not be decoded, and try it again.",
    "explain": "Explain what an error code or a reason of rejects means, and what to do about it.",
    "doctor": "Check the machine, the installation and, if named, pipelines with all that they reach.",
    "version": "Print the versions of ktrans and of what it stands on.",
    "completion": "Print the completion script for a shell: bash, zsh or fish.",
}

PLUGIN_VERBS: dict[str, str] = {"report": "ktrans-report"}
"""Verbs that people expect, and the plugin of ours that has them."""

EPILOG = """\b
Begin with:
  ktrans components            what there is to build from
  ktrans validate FILE.yaml    is it right?
  ktrans preview FILE.yaml     what would come out?
  ktrans run FILE.yaml         do it
"""


class LazyGroup(click.Group):
    """Imports a verb's module (`ktrans.cli.<verb>:command`) when that verb is asked for.

    Plugins are loaded only for the list of verbs and for verbs that are not our own, and only if
    any are installed.
    """

    _from_plugins: dict[str, click.Command] | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name our verbs in the order of their table, then those of plugins."""
        del ctx
        return [*VERBS, *sorted(self._plugin_verbs())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        del ctx
        if cmd_name in VERBS:
            module = importlib.import_module(f"ktrans.cli.{cmd_name.replace('-', '_')}")
            command: click.Command = module.command
            return command
        return self._plugin_verbs().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; for a misspelt one say which was probably meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from ktrans.registry.suggest import near

            meant = near(name, self.list_commands(ctx))
            hint = f" Did you mean {meant!r}?" if meant else ""
            if name in PLUGIN_VERBS:
                package = PLUGIN_VERBS[name]
                hint = f" It comes with a plugin: pip install {package}"
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing ours."""
        rows = list(VERBS.items())
        rows += [
            (name, command.get_short_help_str(limit=formatter.width))
            for name, command in sorted(self._plugin_verbs().items())
        ]
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _plugin_verbs(self) -> dict[str, click.Command]:
        if self._from_plugins is None:
            self._from_plugins = _load_plugin_verbs()
        return self._from_plugins


def _load_plugin_verbs() -> dict[str, click.Command]:
    from ktrans.registry.catalogue import Catalogue

    found = click.Group()
    Catalogue().add_commands(found)
    return {name: command for name, command in found.commands.items() if name not in VERBS}


def _plugins_dir(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Hand the folder on as everyone reads it, worker processes included."""
    if value:
        os.environ["KTRANS_PLUGINS_DIR"] = value


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ktrans", message="%(prog)s %(version)s")
@click.option(
    "--plugins-dir",
    metavar="FOLDER",
    expose_value=False,
    is_eager=True,
    callback=_plugins_dir,
    help="Every *.py of this folder is a plugin too; also KTRANS_PLUGINS_DIR.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=note_debug,
    help="Show tracebacks; may come after the verb too.",
)
def cli() -> None:
    """Translate the flow logs of any cloud into what any store takes.

    A pipeline is one YAML file: a source, a decoder, enrichers, and sinks.
    """
