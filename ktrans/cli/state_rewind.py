"""`ktrans state rewind` and `ktrans state forget`: make the next run read something again."""

from __future__ import annotations

import datetime as dt
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.pipelines import config_argument, confirm, load, yes_option
from ktrans.kit.cli import json_option, show_json, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from ktrans.api import EpochId
    from ktrans.config.model import Pipeline
    from ktrans.engine.assembly import Assembly
    from ktrans.registry.catalogue import Catalogue
    from ktrans.state.rewind import RewindPlan
    from ktrans.state.splits import KnownSplit
    from ktrans.state.store import Store

_SHOWN = 20

dry_option = click.option("--dry-run", is_flag=True, help="Only show what would happen.")


@click.command("rewind")
@config_argument
@click.option(
    "--to",
    "time",
    required=True,
    metavar="TIME",
    help="A time such as 2026-05-01T06:00:00Z (UTC without a zone), or a duration before now: 90m, "
    "2h, 3d.",
)
@click.option("--keep", is_flag=True, help="Remove nothing that was published.")
@dry_option
@yes_option
@json_option
def rewind(config: str, time: str, keep: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Rewind to a time: the next run reads again what was recorded after it.

    Rows are published again with the numbers of new epochs. The files that sinks of type `file` have
    published of the rewound epochs are removed, also those of rejects, unless you `--keep` them.
    Buckets and queues keep what they have, so that they have the rows twice; points in a time-series
    database replace the existing ones.
    """
    from ktrans.api import EpochId
    from ktrans.engine.assemble import assemble
    from ktrans.state.rewind import parse_time, plan_rewind, rewound
    from ktrans.state.rewind import rewind as go_back

    now = dt.datetime.now(dt.UTC)
    to = parse_time(time, now)
    pipeline, found = load(config)
    with closing(assemble(pipeline, found, ephemeral=True)) as assembly:
        assembly.source.check_rewind()
        with _store(pipeline, found, dry_run=dry_run) as store:
            way = plan_rewind(store, pipeline.name, to)
            _check_source(pipeline, way)
            history = store.history(pipeline.name)
            plan = _describe(pipeline, assembly, way, to, history, keep=keep)
            if not as_json:
                click.echo(_text(plan))
            doing = bool(way.epochs) and not dry_run
            if doing:
                confirm("\nRewind?", yes=yes)
                go_back(store.database, pipeline.name, way, now, keep=keep)
            removed = 0
            if not (dry_run or keep):  # also after a rewind that was killed before this
                epochs = rewound(store.database, pipeline.name)
                removed = _withdraw(assembly, [EpochId(pipeline.name, n, history) for n in epochs])
    if as_json:
        show_json({**plan, "rewound": doing, "removed": removed})
        return
    if removed:
        click.echo(f"\n{removed:,} outputs of rewound epochs were removed", err=True)
    due = sum(sink["outputs"] for sink in plan["sinks"] if sink["removes"])
    if doing and removed < due:
        click.echo(
            f"\noutputs not found: {due - removed:,}; gone already, as those of replayed rejects "
            "are, or in another folder than the pipeline file names now",
            err=True,
        )
    if doing:
        click.echo(f"\n{pipeline.name} continues after epoch {way.to}", err=True)


def _withdraw(assembly: Assembly, epochs: Sequence[EpochId]) -> int:
    """Let the sinks remove what was published of epochs; return how many outputs."""
    return sum(bound.sink.withdraw(epochs) for bound in assembly.all_sinks()) if epochs else 0


@contextmanager
def _store(pipeline: Pipeline, found: Catalogue, *, dry_run: bool) -> Iterator[Store]:
    """Open the store: read-only for a dry run, otherwise held."""
    from ktrans.engine.assemble import build_state
    from ktrans.state.store import hold_store, view_store

    open_store = view_store if dry_run else hold_store
    with build_state(pipeline, found) as state, open_store(state, pipeline.name) as store:
        yield store


def _check_source(pipeline: Pipeline, way: RewindPlan) -> None:
    from ktrans.api import StateError

    if way.source and way.source != pipeline.source.type:
        raise StateError(
            f"the pipeline read from {way.source} then, and reads from {pipeline.source.type} now",
            code="cannot_rewind",
            hint="change the source back, or use `ktrans run --from` to start at a position",
        )


def _describe(
    pipeline: Pipeline,
    assembly: Assembly,
    way: RewindPlan,
    to: dt.datetime,
    history: str,
    *,
    keep: bool,
) -> dict[str, Any]:
    """Return what a rewind would read again, and what was published of it, also by replays of it."""
    again = [epoch for epoch in way.epochs if epoch["number"] not in way.kept]
    summaries = [epoch["summary"] for epoch in again]
    reads = [summary for summary in summaries if not summary.get("replay")]
    ledgers = [summary.get("ledger", {}) for summary in reads]
    sinks = []
    for bound in assembly.all_sinks():
        name = bound.entry.id
        outputs = [summary.get("sinks", {}).get(name, {}) for summary in summaries]
        sinks.append(
            {
                "sink": name,
                "type": bound.entry.config.type,
                "rows": sum(one.get("rows", 0) for one in outputs),
                "outputs": sum(one.get("outputs", 0) for one in outputs),
                "replaces": bound.sink.upserts,
                "removes": not keep and bound.sink.withdraws,
                "files": _files(bound.sink, history, [epoch["number"] for epoch in again]),
            }
        )
    sinks += _absent({sink["sink"] for sink in sinks}, summaries)
    return {
        "pipeline": pipeline.name,
        "to": to.isoformat(timespec="seconds"),
        "epoch": way.to,
        "epoch_recorded": way.recorded,
        "epochs": [epoch["number"] for epoch in way.epochs],
        "replays": sorted(way.kept),
        "recorded": [way.epochs[0]["recorded"], way.epochs[-1]["recorded"]] if way.epochs else [],
        "splits": sum(summary.get("splits", 0) for summary in reads),
        "rows": sum(ledger.get("decoded", {}).get("rows", 0) for ledger in ledgers),
        "rejects": sum(sum(ledger.get("rejected", {}).values()) for ledger in ledgers),
        "sinks": sinks,
    }


def _absent(present: AbstractSet[str], summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what sinks have published that the pipeline has no more; nothing can remove it."""
    rows: dict[str, int] = {}
    outputs: dict[str, int] = {}
    for summary in summaries:
        for name, one in summary.get("sinks", {}).items():
            if name not in present and one.get("rows"):
                rows[name] = rows.get(name, 0) + one["rows"]
                outputs[name] = outputs.get(name, 0) + one.get("outputs", 0)
    return [
        {
            "sink": name,
            "type": None,
            "rows": rows[name],
            "outputs": outputs[name],
            "replaces": False,
            "removes": False,
            "files": [],
        }
        for name in rows
    ]


def _files(sink: Any, history: str, numbers: Sequence[int]) -> list[str]:
    """Return the parts of file names that identify the first and the last epoch."""
    from ktrans.api import EpochId
    from ktrans.kit.files.partitioned_sink import PartitionedSink

    if not isinstance(sink, PartitionedSink) or not numbers:
        return []
    ends = (numbers[0], numbers[-1])
    return [f"{sink.owner}.{EpochId('', number, history)}-" for number in ends]


def _text(plan: dict[str, Any]) -> str:
    if not plan["epochs"]:
        return f"nothing was recorded after {plan['to']}"
    first, last = plan["epochs"][0], plan["epochs"][-1]
    since, until = (time[:19] for time in plan["recorded"])
    where = f"to the end of epoch {plan['epoch']}" if plan["epoch"] else "to the beginning"
    rows = [
        ["epochs", f"{len(plan['epochs']):,} ({first} to {last}), recorded {since} to {until} UTC"],
        ["splits", f"{plan['splits']:,}"],
        ["rows", f"{plan['rows']:,}"],
        ["rejects", f"{plan['rejects']:,}"],
    ]
    lines = [
        f"{plan['pipeline']}: rewind {where}. The next run reads again:",
        "",
        table(["what", "amount"], rows),
        "",
        "What was published of it:",
        "",
        table(["sink", "published rows"], [[s["sink"], _published(s)] for s in plan["sinks"]]),
    ]
    if any(sink["rows"] and sink["removes"] for sink in plan["sinks"]):
        lines.append(
            "\nFiles are removed now, and the next run writes them again from the input. Make sure that "
            "the input is still there, or use --keep."
        )
    if plan["replays"]:
        numbers = ", ".join(map(str, plan["replays"]))
        lines.append(
            f"\nKeep what was published by epoch {numbers}, which replayed rejects of "
            "earlier epochs: not all of their logs are read again. Rows of those that are will be there "
            "twice."
        )
    return "\n".join(lines)


def _published(sink: dict[str, Any]) -> str:
    if not sink["rows"]:
        return "none"
    if sink["type"] is None:
        return (
            f"{sink['rows']:,} rows, which stay: the pipeline file has no such sink now; to remove "
            "them, rewind with the file that has it"
        )
    if sink["replaces"]:
        return f"{sink['rows']:,} rows, which will be replaced by the same rows"
    if sink["removes"]:
        return f"{sink['rows']:,} rows, whose {sink['outputs']:,} files will be removed"
    text = f"{sink['rows']:,} rows, which will be there twice unless you remove the first ones"
    if sink["files"]:
        names = " to ".join(dict.fromkeys(sink["files"]))
        text += f" ({sink['outputs']:,} outputs: those with {names} in their names)"
    return text


@click.command("forget")
@config_argument
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--prefix", metavar="TEXT", help="All whose keys start with this text.")
@click.option("--quarantined", is_flag=True, help="All quarantined splits.")
@dry_option
@yes_option
@json_option
def forget(
    config: str,
    keys: Sequence[str],
    prefix: str | None,
    quarantined: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Forget splits, so that the next run reads them again from their beginning.

    A key is what `ktrans state show --prefix` lists: the path of a file, the URI of an object. The
    sinks keep what they have of them.
    """
    from ktrans.api import UsageError
    from ktrans.state import splits

    if not (keys or prefix or quarantined):
        raise UsageError(
            "there is nothing to forget",
            hint="give keys, --prefix or --quarantined; `ktrans state reset` deletes everything",
        )
    pipeline, found = load(config)
    with _store(pipeline, found, dry_run=dry_run) as store:
        hits = splits.matching(
            store, pipeline.name, keys=keys, prefix=prefix or None, quarantined=quarantined
        )
        unknown = sorted(set(keys) - {hit.key for hit in hits})
        if unknown:
            raise UsageError(
                f"{pipeline.name} has not read {', '.join(unknown[:5])}",
                code="split_unknown",
                hint=f"`ktrans state show {config} --prefix TEXT` lists the keys",
            )
        if not as_json:
            click.echo(_hits_text(pipeline.name, hits))
        doing = bool(hits) and not dry_run
        if doing:
            confirm("\nForget them?", yes=yes)
            splits.forget(store, pipeline.name, hits)
    if as_json:
        show_json({"pipeline": pipeline.name, "splits": hits, "forgotten": doing})
    elif doing:
        click.echo(f"\nthe next run reads {len(hits):,} splits again", err=True)


def _hits_text(pipeline: str, hits: Sequence[KnownSplit]) -> str:
    if not hits:
        return f"{pipeline} has no such splits"
    rows = [[str(hit.epoch), hit.key, hit.quarantined or ""] for hit in hits[:_SHOWN]]
    more = [f"and {len(hits) - _SHOWN:,} more"] if len(hits) > _SHOWN else []
    head = ["epoch", "key", "quarantined for"]
    return "\n".join([f"{len(hits):,} splits:", "", table(head, rows), *more])
