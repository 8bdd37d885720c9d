"""`ktrans run`: run pipelines, one or several side by side."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.common import (
    catalogue,
    chosen_profile,
    debug_option,
    json_option,
    profile_option,
)
from ktrans.cli.failures import error_json, show_error, show_json

if TYPE_CHECKING:
    from ktrans.cli.run_common import Stopping
    from ktrans.engine.fleet.fleet import Fleet
    from ktrans.engine.fleet.member import Member
    from ktrans.observe.logs import LogFormat

EPILOG = """\b
Exit codes:
    0  done, or nothing to do, or stopped as asked
    2  the command line is wrong
   65  data: objects that cannot be read, or more rejects than allowed
   69  a host or service cannot be reached
   70  a defect: rows in and rows out do not agree, or something unexpected
   75  try later: another run holds the lock, or an error that may pass
   77  permission denied, or credentials refused
   78  the pipeline file, a plugin or the state store is wrong
  130  interrupted twice

Of several pipelines the first of these that any of them has:
70, 78, 77, 65, 69, 75, 0.

On a terminal a run shows its progress and ends with a receipt. Elsewhere it says
nothing when all is well, as cron likes it (--summary shows the receipt).
"""


@click.command("run", epilog=EPILOG)
@click.argument("configs", type=click.Path(), nargs=-1, required=True, metavar="CONFIG...")
@click.option(
    "--pipeline",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this one of the pipelines; may be given several times.",
)
@profile_option
@click.option(
    "--once/--follow",
    default=None,
    help="Stop when all is read, or stay and wait for more. Default: once if the source is finite.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after about N rows.")
@click.option("--dry-run", is_flag=True, help="Read and decode; write and remember nothing.")
@click.option(
    "--from", "start", metavar="POS", help="Start there instead of where the last run ended."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Threads, for all pipelines together; default: one a core.",
)
@click.option(
    "--if-locked",
    type=click.Choice(["fail", "skip"]),
    help="When another run is under way: fail (exit 75) or skip (exit 0).",
)
@click.option(
    "--keep-going", is_flag=True, help="Run the pipelines that are right, though others are wrong."
)
@click.option(
    "--watch",
    is_flag=True,
    help="With --follow: load the configuration again when it has changed, as SIGHUP does.",
)
@click.option("--fail-on-rejects", is_flag=True, help="Exit 65 if any record was rejected.")
@click.option(
    "--receipt",
    "receipt_file",
    type=click.Path(),
    metavar="FILE",
    help="Write the receipt as JSON; a list of them for several pipelines.",
)
@click.option(
    "--metrics-file",
    type=click.Path(),
    metavar="FILE",
    help="Write metrics for Prometheus' textfile collector.",
)
@click.option(
    "--http",
    "address",
    metavar="[HOST]:PORT",
    help="Serve metrics, health and a status page there while the run goes on; `:9090` is for this "
    "machine only.",
)
@click.option(
    "--stale-secs",
    type=click.FloatRange(min=1),
    default=900,
    show_default=True,
    help="With --http: not ready once nothing was recorded or found to be done for so long.",
)
@json_option
@click.option(
    "--summary/--no-summary",
    default=None,
    help="Show the receipt on stderr. Default: if stderr is a terminal.",
)
@click.option("--no-progress", is_flag=True, help="No live line, even on a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@click.option("-v", "--verbose", count=True, help="Log what happens; -vv logs everything.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="auto: text on a terminal, JSON lines elsewhere.",
)
@debug_option
def command(  # noqa: PLR0917 - click passes options by name
    configs: tuple[str, ...],
    names: tuple[str, ...],
    once: bool | None,
    limit: int | None,
    dry_run: bool,
    start: str | None,
    workers: int | None,
    if_locked: str | None,
    keep_going: bool,
    watch: bool,
    fail_on_rejects: bool,
    receipt_file: str | None,
    metrics_file: str | None,
    address: str | None,
    stale_secs: float,
    as_json: bool,
    summary: bool | None,
    no_progress: bool,
    quiet: bool,
    verbose: int,
    log_format: LogFormat,
) -> int:
    """Run a pipeline: read what is new, write it to the sinks, remember it.

    CONFIG is a file or a folder of them; several pipelines run side by side. A run that was killed
    at any point is taken up by the next one; no row is lost, and sinks that can have every row
    exactly once.
    """
    from ktrans.cli import run_common as running
    from ktrans.cli.run_outputs import Desk
    from ktrans.engine.fleet.fleet import Fleet
    from ktrans.engine.fleet.request import FleetRequest
    from ktrans.engine.run_options import RunOptions

    running.choose_allocator()
    found = catalogue(-1 if quiet else verbose, log_format)
    options = RunOptions(
        limit=limit, dry_run=dry_run, start=start, workers=workers, if_locked=if_locked
    )
    request = FleetRequest(
        paths=configs,
        names=names,
        profile=chosen_profile(),
        once=once,
        run=options,
        keep_going=keep_going,
        watch=watch,
    )
    desk = Desk(found, stdout_taken=as_json)
    fleet = Fleet(request, found, desk)
    stopping = running.Stopping()
    with ExitStack() as held:
        held.enter_context(running.collecting())
        held.enter_context(stopping.listening())
        not_for_reload = held.enter_context(stopping.reloading())
        held.enter_context(
            desk.open(
                progress=running.wants_progress(quiet=quiet, no_progress=no_progress),
                address=address,
                stale_secs=stale_secs,
                metrics_file=metrics_file,
            )
        )
        fleet.prepare()
        for _, error in fleet.wrong:
            show_error(error)
        held.enter_context(desk.serving(fleet.waiting))
        if not fleet.follows:
            not_for_reload()
        members = fleet.run(stopping.stop, stopping.abandon, stopping.reload)
    several = len(configs) > 1 or Path(configs[0]).is_dir() or len(members) != 1 or fleet.wrong
    told: Any = _told(fleet, members) if several else members[0].receipt.to_json()
    if receipt_file is not None:
        running.write_receipt(receipt_file, told)
    if not several and members[0].error is not None:
        raise members[0].error
    shown = (sys.stderr.isatty() and not quiet and not as_json) if summary is None else summary
    for number, member in enumerate(members):
        if number and shown:
            click.echo(err=True)
        label = _label(member, members)
        running.tell(member.receipt, label, summary=shown, one_line=verbose > 0, warn=not quiet)
    if as_json:
        show_json(told)
    return _exit_code(fleet, members, stopping, fail_on_rejects=fail_on_rejects)


def _label(member: Member, members: list[Member]) -> str:
    """Give what to write on the command line for this one pipeline."""
    label = str(member.path)
    if sum(other.path == member.path for other in members) > 1:
        label += f" --pipeline {member.name}"
    return label if chosen_profile() is None else f"{label} --profile {chosen_profile()}"


def _told(fleet: Fleet, members: list[Member]) -> list[dict[str, Any]]:
    wrong = [
        {
            "pipeline": None,
            "config": str(path),
            "outcome": "failed",
            "exit_code": int(error.exit_code),
            "error": error_json(error),
        }
        for path, error in fleet.wrong
    ]
    return [*(member.receipt.to_json() for member in members), *wrong]


def _exit_code(
    fleet: Fleet, members: list[Member], stopping: Stopping, *, fail_on_rejects: bool
) -> int:
    from ktrans.cli import run_common as running
    from ktrans.engine.fleet.allocation import worst_exit_code

    codes = [
        running.exit_code(member.receipt, stopping, fail_on_rejects=fail_on_rejects)
        for member in members
    ]
    return worst_exit_code([*codes, *(error.exit_code for _, error in fleet.wrong)])
