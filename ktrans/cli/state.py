"""`ktrans state`: what a pipeline remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ktrans.cli.common import (
    config_argument,
    debug_option,
    json_option,
    load,
    output_file,
    table,
)
from ktrans.cli.failures import show_json
from ktrans.cli.state_rewind import forget, rewind

if TYPE_CHECKING:
    from ktrans.api.state import StateStore
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue


@click.group("state")
def command() -> None:
    """Show, move or forget what a pipeline has done, or go back to an earlier time."""


@command.command("show")
@config_argument
@click.option(
    "--prefix", metavar="TEXT", help="Look up remembered splits whose keys begin like this."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Of these, at most so many.",
)
@json_option
@debug_option
def show(config: str, prefix: str | None, limit: int, as_json: bool) -> int:
    """Show a pipeline's position, its last epochs, and what was set aside."""
    from ktrans.engine.assemble import build_state
    from ktrans.state.rewind import reach
    from ktrans.state.splits import matching
    from ktrans.state.store import view_store

    pipeline, found = load(config)
    with build_state(pipeline, found) as state, view_store(state, pipeline.name) as store:
        told = {**store.describe(pipeline.name), "state": state.where}
        told["reach"] = reach(store, pipeline.name)
        if prefix is not None:
            splits = [one.to_json() for one in matching(store, pipeline.name, prefix=prefix)]
            told["matching"] = len(splits)
            told["splits"] = splits[:limit]
    if as_json:
        show_json(told)
    else:
        click.echo(_text(told))
    return 0


def _text(told: dict[str, Any]) -> str:
    lines = [f"pipeline  {told['pipeline']}", f"state     {told['state']}"]
    if not told["epochs"] and not told["quarantined"]:
        return "\n".join([*lines, "", "It has not run yet: there is nothing to show."])
    lines.append(f"position  {json.dumps(told.get('position'))}")
    lines.append(f"splits    {told.get('remembered', 0):,} remembered")
    if told["reach"]:
        lines.append(f"rewind    as far as {_shown(told['reach'])}")
    for name, count in told.get("open", {}).items():
        lines.append(f"open      {count:,} totals of {name}")
    if told["epochs"]:
        rows = [_epoch(epoch) for epoch in told["epochs"]]
        head = ["epoch", "status", "recorded", "splits", "rows", "rejects"]
        lines += ["", table(head, rows)]
    if told["quarantined"]:
        rows = [
            [item["kind"], item["code"], str(item["tries"]), f"{item['uri']}: {item['reason']}"]
            for item in told["quarantined"]
        ]
        lines += ["", table(["set aside", "code", "tries", "what"], rows)]
    if "splits" in told:
        lines += ["", _splits(told["splits"], told["matching"])]
    return "\n".join(lines)


def _splits(splits: list[dict[str, Any]], count: int) -> str:
    if not splits:
        return "no split that is remembered has a key that begins like this"
    rows = [[str(one["epoch"]), one["key"], json.dumps(one["value"])] for one in splits]
    more = [f"and {count - len(splits):,} more"] if count > len(splits) else []
    return "\n".join([table(["epoch", "key", "value"], rows), *more])


def _shown(reach: str) -> str:
    return f"{reach[:19]}Z" if reach[:1].isdigit() else reach


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


@command.command("export")
@config_argument
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write there, not to stdout.",
)
@debug_option
def export(config: str, output: Path | None) -> int:
    """Write all that a pipeline remembers as JSON, one record a line.

    For support, and to move a pipeline to another state store. A run that is under way does not
    mind: it is the state at one moment.
    """
    from ktrans.engine.assemble import build_state
    from ktrans.state import export as records
    from ktrans.state.store import view_store

    pipeline, found = load(config)
    count = 0
    with build_state(pipeline, found) as state, view_store(state, pipeline.name) as store:
        if pipeline.name not in store.pipelines():
            raise _never_ran(pipeline, state)
        with output_file(output) as out:
            for record in records.export(store, pipeline.name):
                out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
                count += 1
    if output is not None:
        click.echo(f"{count:,} records in {output}", err=True)
    return 0


@command.command("import")
@config_argument
@click.argument("file", type=click.File("r", encoding="utf-8"), metavar="FILE")
@click.option("--replace", is_flag=True, help="Even if what is there of the pipeline gets lost.")
@json_option
@debug_option
def import_(config: str, file: TextIO, replace: bool, as_json: bool) -> int:
    """Take over what `state export` wrote, so that the pipeline goes on from there.

    To move a pipeline: stop it, export, change `state` in its file, import, start it again. What a
    source keeps itself, such as the spool of stdin, lies beside the state and is not part of it.
    """
    from ktrans.engine.assemble import build_state
    from ktrans.state import export as records
    from ktrans.state.store import hold_store

    pipeline, found = load(config)
    with build_state(pipeline, found) as state, hold_store(state, pipeline.name) as store:
        count = records.load(store, pipeline.name, pipeline.path, file, replace=replace)
    if as_json:
        show_json({"pipeline": pipeline.name, "state": state.where, "records": count})
    else:
        click.echo(f"{pipeline.name} goes on from what was imported: {count:,} records", err=True)
    return 0


def _never_ran(pipeline: Pipeline, state: StateStore[Any]) -> Exception:
    from ktrans.api import StateError

    return StateError(
        f"{state.where} has nothing of pipeline {pipeline.name!r}",
        code="state_missing",
        hint="has it run, with this `name` and this `state`?",
    )


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
    from ktrans.engine.assemble import build_state

    pipeline, found = load(config)
    with build_state(pipeline, found) as state:
        return _reset(pipeline, found, state, yes=yes, as_json=as_json)


def _reset(
    pipeline: Pipeline, found: Catalogue, state: StateStore[Any], *, yes: bool, as_json: bool
) -> int:
    from ktrans.state.store import hold_store, view_store

    with view_store(state, pipeline.name) as store:
        known = pipeline.name in store.pipelines()
    if not known:
        if yes:
            _reset_source(pipeline, found)  # it may have kept something before a run began
        if as_json:
            show_json({"pipeline": pipeline.name, "reset": False})
        else:
            click.echo(f"{pipeline.name} has not run yet: there is nothing to forget", err=True)
        return 0
    if not yes:
        question = f"Forget what {pipeline.name} has read? The next run reads all of it again."
        click.confirm(question, abort=True, err=True)
    with hold_store(state, pipeline.name) as store:
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


command.add_command(rewind)
command.add_command(forget)
