"""Writes the page of every verb and option.

It is made from the commands themselves, and not by click's own help, whose wording changes from
release to release. Verbs that plugins add are in the plugins' own pages.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from ktrans.cli.root import VERBS, cli

EVERYWHERE = {"help", "debug"}
"""Options that every verb has; told once."""


def options_page() -> str:
    """Write the page, as Markdown."""
    return "\n".join(_page()).rstrip() + "\n"


def _page() -> Iterator[str]:
    yield "# Every verb and option"
    yield ""
    yield "Written by `make docs` from the command line itself. What the verbs"
    yield "are for, with examples, is in [the command line](command-line.md)."
    yield ""
    yield "`ktrans --plugins-dir FOLDER VERB ...` takes every `*.py` of a folder as a plugin too."
    yield "`--help` stands with every verb, and so does `--debug`, which shows tracebacks."
    yield ""
    top = click.Context(cli, info_name="ktrans")
    for name in VERBS:
        command = cli.get_command(top, name)
        if command is not None:
            yield from _command(command, f"ktrans {name}", 2)


def _command(command: click.Command, path: str, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{path}`"
    yield ""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):  # laid out by hand
            yield from (f"    {line.strip()}" for line in paragraph.splitlines()[1:])
        else:
            yield " ".join(paragraph.split())
        yield ""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, f"{path} {name}", level + 1)
        return
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    yield f"    {' '.join([path, '[OPTIONS]', *map(_argument, arguments)])}"
    yield ""
    options = [
        p
        for p in command.params
        if isinstance(p, click.Option) and not p.hidden and p.name not in EVERYWHERE
    ]
    if options:
        yield "| Option | What it does |"
        yield "|---|---|"
        yield from map(_row, options)
        yield ""


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    if argument.metavar is None and argument.nargs != 1:
        name += "..."
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _row(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    elif not option.is_flag and not option.count:
        names += f" {_value(option)}"
    text = " ".join((option.help or "").split())
    if option.show_default and option.default is not None:
        text += f" [default: {option.default}]"
    return f"| `{_cell(names)}` | {_cell(text)} |"


def _value(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    numbers = isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    return "N" if numbers else (option.name or "").upper()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
