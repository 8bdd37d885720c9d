"""`ktrans state`: what a pipeline remembers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.common import config_argument, debug_option, json_option, load, table
from ktrans.cli.failures import show_json

if TYPE_CHECKING:
    from ktrans.config.pipeline import Pipeline
    from ktrans.registry.catalogue import Catalogue


@click.group("state")
def command() -> None:
    """Show or forget what a pipeline has done."""


@command.command("show")
@config_argument
@json_option
@debug_option
def show(config: str, as_json: bool) -> int:
    """Show a pipeline's position, its last epochs, and what was set aside."""
    from ktrans.state.store import Store

    pipeline, _ = load(config)
    if not pipeline.state_path.exists():
        told: dict[str, Any] = {"pipeline": pipeline.name, "epochs": [], "set_aside": []}
    else:
        with Store(pipeline.state_path) as store:
            told = store.describe(pipeline.name)
    told = {**told, "state": str(pipeline.state_path)}
    if as_json:
        show_json(told)
    else:
        click.echo(_text(told))
    return 0


def _text(told: dict[str, Any]) -> str:
    lines = [f"pipeline  {told['pipeline']}", f"state     {told['state']}"]
    if not told["epochs"] and not told["set_aside"]:
        return "\n".join([*lines, "", "It has not run yet: there is nothing to show."])
    lines.append(f"position  {json.dumps(told.get('position'))}")
    lines.append(f"splits    {told.get('remembered', 0):,} remembered")
    for name, count in told.get("open", {}).items():
        lines.append(f"open      {count:,} totals of {name}")
    if told["epochs"]:
        rows = [_epoch(epoch) for epoch in told["epochs"]]
        head = ["epoch", "status", "recorded", "splits", "rows", "rejects"]
        lines += ["", table(head, rows)]
    if told["set_aside"]:
        rows = [
            [item["kind"], item["code"], str(item["tries"]), f"{item['uri']}: {item['reason']}"]
            for item in told["set_aside"]
        ]
        lines += ["", table(["set aside", "code", "tries", "what"], rows)]
    return "\n".join(lines)


def _epoch(epoch: dict[str, Any]) -> list[str]:
    summary = epoch["summary"] or {}
    ledger = summary.get("ledger", {})
    return [
        str(epoch["number"]),
        str(epoch["status"]),
        (epoch["recorded"] or "-")[:19],
        f"{summary.get('splits', 0):,}",
        f"{ledger.get('decoded', {}).get('rows', 0):,}",
        f"{sum(ledger.get('rejected', {}).values()):,}",
    ]


@command.command("reset")
@config_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@debug_option
def reset(config: str, yes: bool, as_json: bool) -> int:
    """Forget all about a pipeline: the next run reads everything again.

    What the sinks have stays where it is; sinks that are not told apart by name would have those
    rows twice.
    """
    from ktrans.engine.lock import lock
    from ktrans.state.store import Store

    pipeline, found = load(config)
    if not pipeline.state_path.exists():
        if as_json:
            show_json({"pipeline": pipeline.name, "reset": False})
        else:
            click.echo(f"{pipeline.name} has not run yet: there is nothing to forget", err=True)
        return 0
    if not yes:
        question = f"Forget what {pipeline.name} has read? The next run reads all of it again."
        click.confirm(question, abort=True, err=True)
    with lock(pipeline.state_path, pipeline.name), Store(pipeline.state_path) as store:
        store.reset(pipeline.name)
        _reset_source(pipeline, found)
    if as_json:
        show_json({"pipeline": pipeline.name, "reset": True})
    else:
        click.echo(f"{pipeline.name} starts from the beginning in the next run", err=True)
    return 0


def _reset_source(pipeline: Pipeline, catalogue: Catalogue) -> None:
    """Let the source forget what it keeps itself; a pipeline that is broken is no obstacle."""
    from ktrans.api import ConfigErrors, KtransError
    from ktrans.engine.assemble import assemble

    try:
        assembly = assemble(pipeline, catalogue)
    except KtransError as error:
        found = error.errors if isinstance(error, ConfigErrors) else [error]
        why = "; ".join(one.message for one in found)
        click.echo(f"what the source itself keeps could not be looked for: {why}", err=True)
        return
    try:
        assembly.source.reset()
    finally:
        assembly.close()
