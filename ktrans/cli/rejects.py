"""`ktrans rejects`: shows, exports and replays records that could not be decoded."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.pipelines import config_argument, limit_option, load, output_option
from ktrans.kit.cli import json_option, output_file, printable, show_json, table

if TYPE_CHECKING:
    import pyarrow as pa

reason_option = click.option("--reason", metavar="CODE", help="Only rejects with this reason.")


@click.group("rejects")
def command() -> None:
    """Look at records that could not be decoded, and decode them again."""


@command.command("list")
@config_argument
@reason_option
@json_option
def list_(config: str, reason: str | None, as_json: bool) -> None:
    """Count the stored rejects by reason, each with an example."""
    from ktrans.engine.rejects.read import read_rejects

    pipeline, found = load(config)
    groups = _by_reason(read_rejects(pipeline, found, reason, None))
    if as_json:
        show_json({"pipeline": pipeline.name, "rejects": groups})
        return
    if not groups:
        click.echo("no rejects", err=True)
        return
    rows = [
        [
            f"{group['count']:,}",
            group["reason"],
            f"{group['example']}: {group['detail'] or ''}",
        ]
        for group in groups
    ]
    click.echo(table(["count", "reason", "example"], rows))
    click.echo(f"\nktrans rejects show {config} --reason {groups[0]['reason']}", err=True)


def _by_reason(rejects: pa.Table) -> list[dict[str, Any]]:
    """Group rejects by reason, most frequent first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbered = rejects.append_column("row", pa.array(range(rejects.num_rows), pa.int64()))
    grouped = numbered.group_by("reason", use_threads=False).aggregate(
        [("row", "count"), ("row", "min")]
    )
    groups = []
    for group in grouped.to_pylist():
        first = numbered.filter(pc.equal(numbered["row"], group["row_min"])).to_pylist()[0]
        groups.append(
            {
                "reason": group["reason"],
                "count": group["row_count"],
                "example": _place(first),
                "detail": first["detail"],
            }
        )
    return sorted(groups, key=lambda group: -group["count"])


@command.command("show")
@config_argument
@reason_option
@limit_option("rejects to show")
@json_option
def show(config: str, reason: str | None, limit: int, as_json: bool) -> None:
    """Show stored rejects one by one, with their raw bytes."""
    from ktrans.engine.rejects.read import read_rejects

    pipeline, found = load(config)
    rows = read_rejects(pipeline, found, reason, limit + 1).to_pylist()
    more = len(rows) > limit
    rows = rows[:limit]
    if as_json:
        show_json({"pipeline": pipeline.name, "rejects": rows})
        return
    if not rows:
        click.echo("no rejects", err=True)
    for row in rows:
        click.echo(f"{click.style(row['reason'], bold=True)}: {printable(row['detail'] or '')}")
        click.echo(f"  at   {printable(_place(row))}")
        raw, encoded = row["raw"], row["raw_base64"]
        if raw is None and encoded is None:
            continue  # an object was rejected completely; its place is all there is to show
        shown = f"base64:{encoded}" if raw is None else repr(raw)[1:-1]
        partial = (raw or encoded) and not row["raw_complete"]
        click.echo(f"  raw  {shown}{'  (a part of the record)' if partial else ''}")
    if more:
        click.echo(
            f"\nthere are more: use --limit, or `ktrans rejects export {config}` to write all of them",
            err=True,
        )


@command.command("export")
@config_argument
@reason_option
@output_option
@click.option(
    "--raw", is_flag=True, help="Write only the original bytes of each record, one per line."
)
def export(config: str, reason: str | None, output: Path | None, raw: bool) -> None:
    """Write all stored rejects as JSON lines, or their original bytes.

    Use it to look at rejects with other tools, or to send them to the producer of the logs. Bytes
    that are not text are in `raw_base64`.
    """
    from ktrans.engine.rejects.read import stored_rejects

    pipeline, found = load(config)
    count = without_bytes = 0
    with output_file(output) as out:
        for rejects in stored_rejects(pipeline, found, reason):
            for row in rejects.to_pylist():
                line = _bytes(row) if raw else json.dumps(row, ensure_ascii=False).encode()
                if line is None:
                    without_bytes += 1
                    continue
                out.write(line + b"\n")
                count += 1
    if output is not None:
        click.echo(f"{count:,} rejects in {output}", err=True)
    if without_bytes:
        click.echo(
            f"{without_bytes:,} rejects have no bytes: export without --raw to see them", err=True
        )


def _bytes(row: dict[str, Any]) -> bytes | None:
    """Return the stored bytes of a reject."""
    if row["raw"] is not None:
        return str(row["raw"]).encode()
    return None if row["raw_base64"] is None else base64.b64decode(row["raw_base64"])


def _place(row: dict[str, Any]) -> str:
    position = row["source_pos"]
    return row["source_uri"] if position is None else f"{row['source_uri']}:{position}"


@command.command("replay")
@config_argument
@json_option
@click.option("--no-progress", is_flag=True, help="No progress line, even on a terminal.")
def replay(config: str, as_json: bool, no_progress: bool) -> int:
    """Decode the stored rejects again, after a fix, and write the rows to the sinks.

    Records that still cannot be decoded are rejected again. The replayed files are deleted.
    """
    from ktrans.cli.run_memory import garbage_collection
    from ktrans.cli.run_observer import RunObserver, wants_progress
    from ktrans.cli.run_result import show_receipt
    from ktrans.cli.signals import Signals
    from ktrans.engine.run import replay as replay_rejects

    pipeline, found = load(config)
    signals = Signals()
    progress = wants_progress(quiet=as_json, no_progress=no_progress)
    observer = RunObserver(found, stdout_taken=as_json, progress=progress)
    with garbage_collection(), signals.handle_stop(), closing(observer):
        stop = signals.stop, signals.abandon
        receipt = replay_rejects(pipeline, found, observer.observer(pipeline), *stop)
    shown = sys.stderr.isatty() and not as_json
    if as_json:
        show_json(receipt.to_json())
    show_receipt(receipt, config, summary=shown, one_line=not as_json)
    return receipt.exit_code
