"""`ktrans run`: run a pipeline."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ktrans.cli.common import catalogue, config_argument, debug_option, json_option

if TYPE_CHECKING:
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

On a terminal a run shows its progress and ends with a receipt. Elsewhere it says
nothing when all is well, as cron likes it (--summary shows the receipt).
"""


@click.command("run", epilog=EPILOG)
@config_argument
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
    "--workers", type=click.IntRange(1, 256), metavar="N", help="Threads; default: one a core."
)
@click.option(
    "--if-locked",
    type=click.Choice(["fail", "skip"]),
    help="When another run is under way: fail (exit 75) or skip (exit 0).",
)
@click.option("--fail-on-rejects", is_flag=True, help="Exit 65 if any record was rejected.")
@click.option(
    "--receipt",
    "receipt_file",
    type=click.Path(),
    metavar="FILE",
    help="Write the receipt as JSON.",
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
    config: str,
    once: bool | None,
    limit: int | None,
    dry_run: bool,
    start: str | None,
    workers: int | None,
    if_locked: str | None,
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

    A run that was killed at any point is taken up by the next one; no row is lost, and sinks that
    can have every row exactly once.
    """
    from ktrans.api import UsageError
    from ktrans.cli import running
    from ktrans.config.load import load_pipeline
    from ktrans.engine.options import RunOptions
    from ktrans.engine.run import run

    running.choose_allocator()
    found = catalogue(-1 if quiet else verbose, log_format)
    pipeline = load_pipeline(config, found)
    if as_json and any(entry.config.type == "stdout" for entry in pipeline.sinks):
        raise UsageError(
            "--json and a sink of type stdout would both write to stdout",
            hint="use --receipt FILE",
        )
    finite = found.spec("source", pipeline.source.type).finite
    options = RunOptions(
        follow=not (finite if once is None else once),
        limit=limit,
        dry_run=dry_run,
        start=start,
        workers=workers,
        if_locked=if_locked,
    )
    stopping = running.Stopping()
    progress = running.wants_progress(quiet=quiet, no_progress=no_progress)
    with (
        running.collecting(),
        stopping.listening(),
        running.observing(found, config, progress=progress) as told,
        running.serving(address, stale_secs, pipeline, found, told) as observer,
    ):
        receipt = run(pipeline, found, options, observer, stopping.stop, stopping.abandon)
    shown = (sys.stderr.isatty() and not quiet and not as_json) if summary is None else summary
    running.tell(
        receipt, config, as_json=as_json, summary=shown, one_line=verbose > 0, warn=not quiet
    )
    running.keep(receipt, receipt_file, metrics_file)
    return running.exit_code(receipt, stopping, fail_on_rejects=fail_on_rejects)
