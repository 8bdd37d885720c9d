"""What several verbs share: options, the catalogue, tables."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ktrans.config.pipeline import Pipeline
    from ktrans.observe.logs import LogFormat
    from ktrans.registry.catalogue import Catalogue

F = TypeVar("F", bound=Callable[..., Any])

config_argument = click.argument("config", type=click.Path(), metavar="CONFIG")
DEBUG = "ktrans.debug"
"""Where a command's context keeps that `--debug` was given."""


def note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Keep `--debug`, wherever it stands, for whoever sets up the log."""
    if value:
        ctx.meta[DEBUG] = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=note_debug,
    help="Show tracebacks and the whole log.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to stdout, errors included."
)

WIDE = 10_000
"""The width to write for when nobody looks: nothing is wrapped or cut."""


def catalogue(verbosity: int = 0, log_format: LogFormat = "auto") -> Catalogue:
    """Set up logging (see `ktrans.observe.logs`), and give the installed components."""
    from ktrans.observe.logs import set_up
    from ktrans.registry.catalogue import Catalogue

    debug = click.get_current_context().meta.get(DEBUG, False)
    set_up(2 if debug else verbosity, log_format)
    return Catalogue()


def load(config: str) -> tuple[Pipeline, Catalogue]:
    """Load a pipeline file with the installed components."""
    from ktrans.config.load import load_pipeline

    found = catalogue()
    return load_pipeline(config, found), found


def width() -> int:
    """Give the terminal's width; none to speak of if stdout is not one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, room: int | None = None) -> str:
    """Lay out rows in columns, the last one wrapped to what is left of the width.

    Columns that are empty in all rows are left out.
    """
    room = width() if room is None else room
    kept = [at for at in range(len(head)) if not rows or any(row[at] for row in rows)]
    lines = [[row[at] for at in kept] for row in [head, *rows]]
    widths = [max(len(line[at]) for line in lines) for at in range(len(kept))]
    indent = sum(widths[:-1]) + 2 * (len(kept) - 1)
    texts = []
    for line in lines:
        cells = [cell.ljust(size) for cell, size in zip(line, widths, strict=True)][:-1]
        wrapped = textwrap.wrap(
            line[-1], max(room - indent, 20), break_long_words=False, break_on_hyphens=False
        )
        first, *rest = wrapped or [""]
        texts.append("  ".join([*cells, first]).rstrip())
        texts += [" " * indent + more for more in rest]
    return "\n".join([click.style(texts[0], bold=True), *texts[1:]])
