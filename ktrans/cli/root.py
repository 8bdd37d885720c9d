"""The group of all verbs, which lists them without importing their modules."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

import click

from ktrans import __version__
from ktrans.cli.pipelines import DEBUG, F

VERBS: dict[str, str] = {
    "init": "Write a pipeline file with comments, and the JSON Schema of pipeline files for editors.",
    "run": "Run pipelines: read new input, write it to the sinks, and record it.",
    "validate": "Check pipeline files without moving any data.",
    "test": "Run the tests of pipelines: `tests:` in the file, and FILE.tests.yaml beside FILE.yaml.",
    "plan": "Show what a run would read and write, without running it.",
    "graph": "Draw a pipeline: its components, and the columns that pass from one to the next.",
    "preview": "Show some rows after any stage; writes nothing and records nothing.",
    "components": "List the available sources, decoders, enrichers, formats, sinks, tables, states and executors.",
    "plugins": "List the installed plugins and whether they work.",
    "new-plugin": "Write a working plugin: code, options, tests, packaging, README.",
    "schema": "Print the JSON Schema of pipeline files, or the flow schema.",
    "config": "Show a pipeline file as ktrans understands it.",
    "state": "Show, move, rewind or forget the state of a pipeline.",
    "rejects": "Look at records that could not be decoded, and decode them again.",
    "explain": "Explain what an error code or a reject reason means, and what to do about it.",
    "doctor": "Check the machine, the installation and, if named, pipelines and what they connect to.",
    "version": "Print the versions of ktrans, its libraries and its plugins.",
    "completion": "Print the completion script for a shell: bash, zsh or fish.",
}

PLUGIN_VERBS: dict[str, str] = {"report": "ktrans-report"}
"""Verbs of our plugins, to name the plugin if it is not installed."""

EPILOG = """\b
Begin with:
  ktrans components            list what pipelines are built from
  ktrans validate FILE.yaml    check a pipeline file
  ktrans preview FILE.yaml     show some of its rows
  ktrans run FILE.yaml         run it
"""


def _note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Keep `--debug` in the context; it may come before or after the verb."""
    if value:
        ctx.meta[DEBUG] = True


def _debug_option(about: str) -> Callable[[F], F]:
    return click.option(
        "--debug", is_flag=True, expose_value=False, callback=_note_debug, help=about
    )


def _with_debug(command: click.Command) -> click.Command:
    """Add `--debug` to a verb, or to the verbs of a group."""
    if isinstance(command, click.Group):
        for verb in command.commands.values():
            _with_debug(verb)
    elif all(parameter.name != "debug" for parameter in command.params):
        _debug_option("Show tracebacks and the complete log.")(command)
    return command


class LazyGroup(click.Group):
    """Imports the module of a verb (`ktrans.cli.<verb>:command`) when that verb is used.

    Plugins are loaded only for the list of verbs and for verbs that are not built in, and only if
    any are installed.
    """

    _from_plugins: dict[str, click.Command] | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in verbs in the order of `VERBS`, then those of plugins."""
        del ctx
        return [*VERBS, *sorted(self._plugin_verbs())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb."""
        del ctx
        if cmd_name in VERBS:
            module = importlib.import_module(f"ktrans.cli.{cmd_name.replace('-', '_')}")
            return _with_debug(module.command)
        found = self._plugin_verbs().get(cmd_name)
        return found and _with_debug(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; suggest one if it is misspelled."""
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
        """Write the list of verbs without importing the built-in ones."""
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
    Catalogue().tell("ktrans_add_commands", cli=found)
    return {name: command for name, command in found.commands.items() if name not in VERBS}


def _plugins_dir(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Set the variable from which the folder is read, in worker processes too."""
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
    help="Load every *.py of this folder as a plugin; also KTRANS_PLUGINS_DIR.",
)
@_debug_option("Show tracebacks and the complete log; also after the verb.")
def cli() -> None:
    """Translate flow logs of any cloud for data lakes, databases and queues.

    A pipeline is a YAML file with a source, a decoder, enrichers, and sinks.
    """
