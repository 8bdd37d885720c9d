"""`ktrans plan`: shows what a run would read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ktrans.cli.pipelines import config_argument, load
from ktrans.kit.cli import json_option, show_json
from ktrans.observe import human

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ktrans.tools.plan_preview import PlanPreview


@click.command("plan")
@config_argument
@click.option("--from", "start", metavar="WHERE", help="As for `ktrans run --from`.")
@click.option("--workers", type=click.IntRange(min=1), help="As for `ktrans run --workers`.")
@json_option
def command(config: str, start: str | None, workers: int | None, as_json: bool) -> None:
    """Show what a run would read and write, without running it.

    Lists the new input of the source, decodes a sample to estimate the number of rows, and shows the
    delivery guarantees. Nothing is written, acknowledged or recorded.
    """
    from ktrans.engine.cores import usable_cores
    from ktrans.tools.plan_preview import preview_plan

    pipeline, found = load(config)
    count = workers or pipeline.engine.workers or usable_cores()
    preview = preview_plan(pipeline, found, count, start)
    if as_json:
        show_json(preview)
        return
    for line in _lines(preview):
        click.echo(line)


def _lines(preview: PlanPreview) -> Iterator[str]:
    yield click.style(preview.pipeline, bold=True)
    if preview.splits:
        yield from _input(preview)
    else:
        yield "    in        nothing new"
    yield f"    spreads   over {preview.spreads_over['text']}"
    for sink in preview.sinks:
        parts = [
            f"{sink['columns']} columns",
            f"where {sink['where']}" if sink["where"] else "",
            sink["place"],
            (sink["delivery"] or "at_least_once").replace("_", " "),
        ]
        yield f"    -> {sink['id']} ({sink['type']}): {', '.join(p for p in parts if p)}"
    for note in preview.notes:
        yield f"    note      {note}"
    for warning in preview.warnings:
        yield click.style(f"    warning   {warning}", fg="yellow")


def _input(preview: PlanPreview) -> Iterator[str]:
    parts = [human.count(preview.splits, "split")]
    if preview.bytes is not None:
        parts.append(human.size(preview.bytes))
    if preview.rows is not None:
        parts.append(f"about {_rounded(preview.rows)} rows")
    yield f"    in        {', '.join(parts)}"
    for uri in preview.first:
        yield f"              {uri}"
    if preview.splits > len(preview.first):
        yield f"              and {human.count(preview.splits - len(preview.first))} more"
    if preview.rejects_ratio:
        yield f"    rejects   about {preview.rejects_ratio:.1%} of the records"
    epochs, tasks = human.count(preview.epochs, "epoch"), human.count(preview.tasks, "task")
    yield f"    work      {epochs}, the first of {tasks}"
    yield f"    executor  {preview.executor}: {preview.executor_because}"


def _rounded(rows: int) -> str:
    """Format an estimate with two significant digits."""
    digits = max(len(str(rows)) - 2, 0)
    return human.count(round(rows, -digits))
