"""`ktrans plan`: what a run would read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ktrans.cli.common import config_argument, debug_option, json_option, load
from ktrans.cli.failures import show_json
from ktrans.observe import human

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ktrans.tools.plan_preview import Outlook


@click.command("plan")
@config_argument
@click.option("--from", "start", metavar="WHERE", help="As `ktrans run --from`.")
@click.option("--workers", type=click.IntRange(min=1), help="As `ktrans run --workers`.")
@json_option
@debug_option
def command(config: str, start: str | None, workers: int | None, as_json: bool) -> int:
    """Show what a run would read and write, and do none of it.

    Lists what waits at the source, decodes a sample to estimate the rows, and says which promises
    hold. Nothing is written, acknowledged or remembered.
    """
    from ktrans.engine.cores import usable_cores
    from ktrans.tools.plan_preview import outlook

    pipeline, found = load(config)
    count = workers or pipeline.engine.workers or usable_cores()
    told = outlook(pipeline, found, count, start)
    if as_json:
        show_json(told.to_json())
        return 0
    for line in _lines(told):
        click.echo(line)
    return 0


def _lines(told: Outlook) -> Iterator[str]:
    yield click.style(told.pipeline, bold=True)
    if told.splits:
        yield from _waiting(told)
    else:
        yield "    in        nothing waits"
    for sink in told.sinks:
        parts = [
            f"{sink['columns']} columns",
            f"where {sink['where']}" if sink["where"] else "",
            sink["place"],
            (sink["delivery"] or "at_least_once").replace("_", " "),
        ]
        yield f"    -> {sink['id']} ({sink['type']}): {', '.join(p for p in parts if p)}"
    for note in told.notes:
        yield f"    note      {note}"
    for warning in told.warnings:
        yield click.style(f"    warning   {warning}", fg="yellow")


def _waiting(told: Outlook) -> Iterator[str]:
    parts = [human.count(told.splits, "split")]
    if told.bytes is not None:
        parts.append(human.size(told.bytes))
    if told.rows is not None:
        parts.append(f"about {_rounded(told.rows)} rows")
    yield f"    in        {', '.join(parts)}"
    for uri in told.first:
        yield f"              {uri}"
    if told.splits > len(told.first):
        yield f"              and {human.count(told.splits - len(told.first))} more"
    if told.rejects_ratio:
        yield f"    rejects   about {told.rejects_ratio:.1%} of the records"
    epochs, tasks = human.count(told.epochs, "epoch"), human.count(told.tasks, "task")
    yield f"    work      {epochs}, the first of {tasks}"


def _rounded(rows: int) -> str:
    """Give two digits that mean something."""
    digits = max(len(str(rows)) - 2, 0)
    return human.count(round(rows, -digits))
