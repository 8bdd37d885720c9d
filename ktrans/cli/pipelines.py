"""The options that name pipelines, and loading the pipeline that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ktrans.config.draft import LoadedFile
    from ktrans.config.model import Pipeline
    from ktrans.observe.logs import LogFormat
    from ktrans.registry.catalogue import Catalogue

F = TypeVar("F", bound=Callable[..., Any])

PIPELINE, PROFILE, DEBUG = "ktrans.pipeline", "ktrans.profile", "ktrans.debug"
"""The keys of `--pipeline`, `--profile` and `--debug` in the metadata of a command's context."""


def _keep(key: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def keep(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        ctx.meta[key] = value

    return keep


profile_option = click.option(
    "--profile",
    metavar="NAME",
    expose_value=False,
    callback=_keep(PROFILE),
    help="Apply this profile to the pipeline; also KTRANS_PROFILE.",
)
_pipeline_option = click.option(
    "--pipeline",
    metavar="NAME",
    expose_value=False,
    callback=_keep(PIPELINE),
    help="The pipeline to use, if the file has several.",
)
output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file instead of stdout.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless `--yes` gave it.

    Raises:
        UsageError: nobody can be asked.
        Abort: the answer is no.
    """
    from ktrans.api import UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "this needs a confirmation, and there is no terminal to ask on",
            code="needs_yes",
            hint="give --yes",
        )
    click.confirm(question, abort=True, err=True)


def limit_option(what: str) -> Callable[[F], F]:
    """Return the option `--limit` of a command that lists something."""
    about = f"The largest number of {what}."
    return click.option(
        "--limit", type=click.IntRange(min=1), default=20, show_default=True, help=about
    )


def config_argument(command: F) -> F:
    """Add CONFIG, `--pipeline` and `--profile` to a command that works on one pipeline."""
    argument = click.argument("config", type=click.Path(), metavar="CONFIG")
    return argument(_pipeline_option(profile_option(command)))


def chosen_profile() -> str | None:
    """Return the profile that the command line names."""
    name: str | None = click.get_current_context().meta.get(PROFILE)
    return name


def catalogue(verbosity: int = 0, log_format: LogFormat = "auto") -> Catalogue:
    """Set up logging (see `ktrans.observe.logs`), and return the installed components."""
    from ktrans.observe.logs import set_up
    from ktrans.registry.catalogue import Catalogue

    set_up(log_verbosity(verbosity), log_format)
    return Catalogue()


def log_verbosity(verbosity: int) -> int:
    """Return how much is logged: everything with `--debug`."""
    debug = click.get_current_context().meta.get(DEBUG, False)
    return 2 if debug else verbosity


def load(config: str) -> tuple[Pipeline, Catalogue]:
    """Load the pipeline that the command line names, and return it with the components."""
    found = catalogue()
    return load_config(config, found).pipeline, found


def load_config(config: str, found: Catalogue) -> LoadedFile:
    """Load the pipeline that the command line names, and return it with its file."""
    from ktrans.config.load import load_file
    from ktrans.engine.examine import examine

    name = click.get_current_context().meta.get(PIPELINE)
    return load_file(config, found, profile=chosen_profile(), name=name, examine=examine)
