"""What several verbs share: options, the catalogue, tables."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from ktrans.config.draft import LoadedFile
    from ktrans.config.model import Pipeline
    from ktrans.observe.logs import LogFormat
    from ktrans.registry.catalogue import Catalogue

F = TypeVar("F", bound=Callable[..., Any])

DEBUG, PIPELINE, PROFILE = "ktrans.debug", "ktrans.pipeline", "ktrans.profile"
"""Where a command's context keeps `--debug`, `--pipeline` and `--profile`."""


def note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Keep `--debug`, wherever it stands, for whoever sets up the log."""
    if value:
        ctx.meta[DEBUG] = True


def _note(key: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def note(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        ctx.meta[key] = value

    return note


profile_option = click.option(
    "--profile",
    metavar="NAME",
    expose_value=False,
    callback=_note(PROFILE),
    help="Lay this profile over the pipeline; also KTRANS_PROFILE.",
)
_pipeline_option = click.option(
    "--pipeline",
    metavar="NAME",
    expose_value=False,
    callback=_note(PIPELINE),
    help="Which one, if the file holds several pipelines.",
)


def config_argument(command: F) -> F:
    """Let a command take one pipeline: CONFIG, `--pipeline` and `--profile`; see `load`."""
    argument = click.argument("config", type=click.Path(), metavar="CONFIG")
    return argument(_pipeline_option(profile_option(command)))


def chosen_profile() -> str | None:
    """Give the profile that the command line names."""
    name: str | None = click.get_current_context().meta.get(PROFILE)
    return name


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
    """Load the pipeline that the command line names, with the installed components."""
    found = catalogue()
    return load_config(config, found).pipeline, found


def load_config(config: str, found: Catalogue) -> LoadedFile:
    """Load the pipeline that the command line names, and keep its file."""
    from ktrans.config.load import load_file

    name = click.get_current_context().meta.get(PIPELINE)
    return load_file(config, found, profile=chosen_profile(), name=name)


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


@contextmanager
def output_file(path: Path | None) -> Iterator[BinaryIO]:
    """Give where to write: a file that appears under its name once it is whole, or stdout.

    Raises:
        UsageError: the file cannot be made.
    """
    from ktrans.api import UsageError

    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f".{path.name}.part")
    try:
        out = part.open("wb")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", code="cannot_write") from error
    try:
        with out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
