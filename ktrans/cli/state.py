"""`ktrans state`: shows, moves and resets the state of a pipeline."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ktrans.cli.pipelines import (
    config_argument,
    confirm,
    limit_option,
    load,
    output_option,
    yes_option,
)
from ktrans.cli.state_rewind import forget, rewind
from ktrans.kit.cli import json_option, output_file, show_json, table

if TYPE_CHECKING:
    from ktrans.api.state import StateStore
    from ktrans.config.model import Pipeline
    from ktrans.registry.catalogue import Catalogue


@click.group("state")
def command() -> None:
    """Show, move, rewind or forget the state of a pipeline."""


@command.command("show")
@config_argument
@click.option(
    "--prefix", metavar="TEXT", help="List remembered splits whose keys start with this text."
)
@limit_option("splits to list")
@json_option
def show(config: str, prefix: str | None, limit: int, as_json: bool) -> None:
    """Show the position of a pipeline, its last epochs, and quarantined splits."""
    from ktrans.engine.assemble import build_state
    from ktrans.state.rewind import reach
    from ktrans.state.splits import matching
    from ktrans.state.store import view_store

    pipeline, found = load(config)
    with build_state(pipeline, found) as state, view_store(state, pipeline.name) as store:
        shown = {**store.describe(pipeline.name), "state": state.where}
        shown["reach"] = reach(store, pipeline.name)
        if prefix is not None:
            splits = [asdict(one) for one in matching(store, pipeline.name, prefix=prefix)]
            shown["matching"] = len(splits)
            shown["splits"] = splits[:limit]
    if as_json:
        show_json(shown)
    else:
        click.echo(_text(shown))


def _text(state: dict[str, Any]) -> str:
    lines = [f"pipeline  {state['pipeline']}", f"state     {state['state']}"]
    if not state["epochs"] and not state["quarantined"]:
        return "\n".join([*lines, "", "It has not run yet."])
    lines.append(f"position  {json.dumps(state.get('position'))}")
    lines.append(f"splits    {state.get('remembered', 0):,} remembered")
    if state["reach"]:
        lines.append(f"rewind    as far as {_time(state['reach'])}")
    for name, count in state.get("open", {}).items():
        lines.append(f"open      {count:,} totals of {name}")
    if state["epochs"]:
        rows = [_epoch(epoch) for epoch in state["epochs"]]
        head = ["epoch", "status", "recorded", "splits", "rows", "rejects"]
        lines += ["", table(head, rows)]
    if state["quarantined"]:
        rows = [
            [item["kind"], item["code"], str(item["tries"]), f"{item['uri']}: {item['reason']}"]
            for item in state["quarantined"]
        ]
        lines += ["", table(["quarantined", "code", "tries", "split"], rows)]
    if "splits" in state:
        lines += ["", _splits(state["splits"], state["matching"])]
    return "\n".join(lines)


def _splits(splits: list[dict[str, Any]], count: int) -> str:
    if not splits:
        return "no remembered split has a key that starts with this text"
    rows = [[str(one["epoch"]), one["key"], json.dumps(one["value"])] for one in splits]
    more = [f"and {count - len(splits):,} more"] if count > len(splits) else []
    return "\n".join([table(["epoch", "key", "value"], rows), *more])


def _time(reach: str) -> str:
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
@output_option
def export(config: str, output: Path | None) -> None:
    """Write the state of a pipeline as JSON lines.

    For support, and to move a pipeline to another state store. It is a consistent snapshot, also
    while a run is active.
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


@command.command("import")
@config_argument
@click.argument("file", type=click.File("r", encoding="utf-8"), metavar="FILE")
@click.option("--replace", is_flag=True, help="Overwrite existing state of the pipeline.")
@json_option
def import_(config: str, file: TextIO, replace: bool, as_json: bool) -> None:
    """Import what `state export` wrote, so that the pipeline continues from there.

    To move a pipeline: stop it, export, change `state` in its file, import, start it again. Files
    that a source keeps, such as the spool of stdin, are beside the state and not part of it.
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
        click.echo(
            f"{pipeline.name} continues from the imported state: {count:,} records", err=True
        )


def _never_ran(pipeline: Pipeline, state: StateStore[Any]) -> Exception:
    from ktrans.api import StateError

    return StateError(
        f"{state.where} has no state of pipeline {pipeline.name!r}",
        code="state_missing",
        hint="check that it has run with this `name` and this `state`",
    )


@command.command("reset")
@config_argument
@yes_option
@json_option
def reset(config: str, yes: bool, as_json: bool) -> None:
    """Delete the state of a pipeline: the next run reads everything again.

    The sinks keep what they have; those that append would have these rows twice.
    """
    from ktrans.engine.assemble import build_state
    from ktrans.state.store import hold_store, view_store

    pipeline, found = load(config)
    name = pipeline.name
    with build_state(pipeline, found) as state:
        with view_store(state, name) as store:
            known = name in store.pipelines()
        if known:
            confirm(f"Delete the state of {name}? The next run reads everything again.", yes=yes)
            with hold_store(state, name) as store:
                store.reset(name)
                _reset_source(pipeline, found)
        elif yes:
            _reset_source(pipeline, found)  # it may have kept files before the first run
    if as_json:
        show_json({"pipeline": name, "reset": known})
    elif known:
        click.echo(f"the next run of {name} starts from the beginning", err=True)
    else:
        click.echo(f"{name} has not run yet: there is no state to delete", err=True)


def _reset_source(pipeline: Pipeline, catalogue: Catalogue) -> None:
    """Let the source delete the files that it keeps; an invalid pipeline only gives a warning."""
    from ktrans.api import ConfigErrors, KtransError
    from ktrans.engine.assemble import assemble

    try:
        assembly = assemble(pipeline, catalogue)
    except KtransError as error:
        found = error.errors if isinstance(error, ConfigErrors) else [error]
        why = "; ".join(one.message for one in found)
        click.echo(f"files that the source keeps were not deleted: {why}", err=True)
        return
    try:
        assembly.source.reset()
    finally:
        assembly.close()


command.add_command(rewind)
command.add_command(forget)
