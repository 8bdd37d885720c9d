"""`ktrans run`: runs one or several pipelines."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.failures import error_json, show_error
from ktrans.cli.pipelines import catalogue, chosen_profile, log_verbosity, profile_option
from ktrans.kit.cli import DURATION, check_output, json_option, show_json

if TYPE_CHECKING:
    from ktrans.engine.fleet.fleet import Fleet
    from ktrans.engine.fleet.member import Member
    from ktrans.observe.logs import LogFormat

EPILOG = """\b
Exit codes:
    0  done, nothing to do, or stopped by a signal
    2  wrong usage of the command line
    3  a rule of `expect` is broken
   65  data: objects that cannot be read, or too many rejects
   69  a host or service cannot be reached
   70  failed otherwise: a system refuses rows, records were lost, a limit, or a defect
   75  try later: another run holds the lock, or a temporary error
   77  permission denied, or credentials refused
   78  an invalid pipeline file, plugin or state store
  130  interrupted twice

The exit code of several pipelines is the first of these that occurred:
130, 70, 78, 3, 77, 65, 69, 75, 0.

On a terminal a run shows its progress and ends with a receipt. Elsewhere it
prints nothing if there are no problems, which suits cron (--summary shows the
receipt).
"""


@click.command("run", epilog=EPILOG)
@click.argument("configs", type=click.Path(), nargs=-1, required=True, metavar="CONFIG...")
@click.option(
    "--pipeline",
    "names",
    multiple=True,
    metavar="NAME",
    help="Run only this pipeline; may be repeated.",
)
@profile_option
@click.option(
    "--once/--follow",
    default=None,
    help="Stop when everything is read, or wait for more. Default: once if the source is finite.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after about N rows.")
@click.option("--dry-run", is_flag=True, help="Read and decode; write and record nothing.")
@click.option(
    "--from",
    "start",
    metavar="POS",
    help="Start at this time, after this file or object, or at these offsets, instead of where the last run ended.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Threads for all pipelines together; default: one per core.",
)
@click.option(
    "--if-locked",
    type=click.Choice(["fail", "skip"]),
    help="If another run holds the lock: fail (exit 75) or skip (exit 0).",
)
@click.option(
    "--keep-going", is_flag=True, help="Run the valid pipelines even if others are invalid."
)
@click.option(
    "--watch",
    is_flag=True,
    help="With --follow: reload the configuration when it has changed, as on SIGHUP.",
)
@click.option(
    "--new-history",
    is_flag=True,
    help="Begin anew if the state store does not know the pipeline, beside files of earlier runs.",
)
@click.option("--fail-on-rejects", is_flag=True, help="Exit 65 if any record was rejected.")
@click.option(
    "--receipt",
    "receipt_file",
    type=click.Path(),
    metavar="FILE",
    help="Write the receipt as JSON; for several pipelines a list.",
)
@click.option(
    "--metrics-file",
    type=click.Path(),
    metavar="FILE",
    help="Write metrics for the textfile collector of Prometheus.",
)
@click.option(
    "--http",
    "address",
    metavar="[HOST]:PORT",
    help="Serve metrics, health checks and a status page; `:9090` accepts connections from this "
    "machine only.",
)
@click.option(
    "--stale-after",
    type=DURATION,
    metavar="DURATION",
    default="15m",
    show_default=True,
    help="With --http: not ready after this time without an epoch or a check for new input.",
)
@json_option
@click.option(
    "--summary/--no-summary",
    default=None,
    help="Show the receipt on stderr. Default: only if stderr is a terminal.",
)
@click.option("--no-progress", is_flag=True, help="No progress line, even on a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@click.option("-v", "--verbose", count=True, help="Log what happens; -vv also logs debug messages.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="auto: text on a terminal, JSON lines elsewhere.",
)
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
    new_history: bool,
    fail_on_rejects: bool,
    receipt_file: str | None,
    metrics_file: str | None,
    address: str | None,
    stale_after: float,
    as_json: bool,
    summary: bool | None,
    no_progress: bool,
    quiet: bool,
    verbose: int,
    log_format: LogFormat,
) -> int:
    """Run pipelines: read new input, write it to the sinks, and record it.

    CONFIG is a file or a folder of files; several pipelines run in parallel. If a run is killed, the
    next one resumes it: no row is lost, and sinks that support it have every row exactly once.
    """
    from ktrans.cli.run_limits import allow_open_files
    from ktrans.cli.run_memory import choose_allocator, garbage_collection
    from ktrans.cli.run_observer import RunObserver, wants_progress
    from ktrans.cli.run_result import show_receipt, write_receipt
    from ktrans.cli.signals import Signals
    from ktrans.cli.worker import PREPARE
    from ktrans.engine.fleet.fleet import Fleet
    from ktrans.engine.fleet.request import FleetRequest
    from ktrans.engine.run_context import RunOptions

    _check_outputs(receipt_file, metrics_file, dry_run=dry_run)
    allow_open_files()
    choose_allocator()
    found = catalogue(-1 if quiet else verbose, log_format)
    options = RunOptions(
        limit=limit,
        dry_run=dry_run,
        start=start,
        workers=workers,
        if_locked=if_locked,
        fail_on_rejects=fail_on_rejects,
        new_history=new_history,
        prepare_worker={
            "call": PREPARE,
            "verbosity": log_verbosity(-1 if quiet else verbose),
            "log_format": log_format,
        },
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
    observer = RunObserver(
        found,
        stdout_taken=as_json,
        progress=wants_progress(quiet=quiet, no_progress=no_progress),
        address=address,
        stale_after=stale_after,
        metrics_file=metrics_file,
    )
    fleet = Fleet(request, found, observer)
    signals = Signals()
    with ExitStack() as stack:
        stack.enter_context(garbage_collection())
        stack.enter_context(signals.handle_stop())
        restore_hangup = stack.enter_context(signals.handle_reload())
        stack.callback(observer.close)
        fleet.prepare()
        for _, error in fleet.wrong:
            show_error(error)
        stack.enter_context(observer.serve_status(fleet.waiting))
        if not fleet.follows:
            restore_hangup()
        members = fleet.run(signals.stop, signals.abandon, signals.reload)
    several = len(configs) > 1 or Path(configs[0]).is_dir() or len(members) != 1 or fleet.wrong
    receipts: Any = _receipts(fleet, members) if several else members[0].receipt.to_json()
    if receipt_file is not None:
        write_receipt(receipt_file, receipts)
    if not several and members[0].error is not None:
        raise members[0].error
    shown = (sys.stderr.isatty() and not quiet and not as_json) if summary is None else summary
    for number, member in enumerate(members):
        if number and shown:
            click.echo(err=True)
        label = _label(member, members)
        show_receipt(member.receipt, label, summary=shown, one_line=verbose > 0, warn=not quiet)
    if as_json:
        show_json(receipts)
    return _exit_code(fleet, members)


def _label(member: Member, members: list[Member]) -> str:
    """Return the command-line arguments that name this pipeline."""
    label = str(member.path)
    if sum(other.path == member.path for other in members) > 1:
        label += f" --pipeline {member.name}"
    return label if chosen_profile() is None else f"{label} --profile {chosen_profile()}"


def _receipts(fleet: Fleet, members: list[Member]) -> list[dict[str, Any]]:
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


def _exit_code(fleet: Fleet, members: list[Member]) -> int:
    from ktrans.engine.fleet.allocation import worst_exit_code

    codes = [member.receipt.exit_code for member in members]
    return worst_exit_code([*codes, *(error.exit_code for _, error in fleet.wrong)])


def _check_outputs(receipt_file: str | None, metrics_file: str | None, *, dry_run: bool) -> None:
    """Check what a run writes beside its rows."""
    if dry_run and metrics_file is not None:
        from ktrans.api import UsageError

        raise UsageError(
            "--dry-run writes no rows, so --metrics-file would count what is not there",
            hint="leave one of them away",
        )
    for output in (receipt_file, metrics_file):
        if output is not None:
            check_output(Path(output))
