"""`ktrans rejects`: what could not be decoded."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    import pyarrow as pa

reason_option = click.option("--reason", metavar="CODE", help="Only those with this reason.")


@click.group("rejects")
def command() -> None:
    """Look at what could not be decoded, and try it again."""


@command.command("list")
@config_argument
@reason_option
@json_option
@debug_option
def list_(config: str, reason: str | None, as_json: bool) -> int:
    """Count the stored rejects by reason, each with an example."""
    from ktrans.engine.rejects.read import read_rejects
    from ktrans.observe.human import tame

    pipeline, found = load(config)
    groups = _by_reason(read_rejects(pipeline, found, reason, None))
    if as_json:
        show_json({"pipeline": pipeline.name, "rejects": groups})
        return 0
    if not groups:
        click.echo("no rejects", err=True)
        return 0
    rows = [
        [
            f"{group['count']:,}",
            group["reason"],
            tame(f"{group['example']}: {group['detail'] or ''}"),
        ]
        for group in groups
    ]
    click.echo(table(["count", "reason", "first one"], rows))
    click.echo(f"\nktrans rejects show {config} --reason {groups[0]['reason']}", err=True)
    return 0


def _by_reason(rejects: pa.Table) -> list[dict[str, Any]]:
    """Group rejects by reason, the most frequent first."""
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
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
)
@json_option
@debug_option
def show(config: str, reason: str | None, limit: int, as_json: bool) -> int:
    """Show stored rejects one by one, with their raw bytes."""
    from ktrans.engine.rejects.read import read_rejects
    from ktrans.observe.human import tame

    pipeline, found = load(config)
    rows = read_rejects(pipeline, found, reason, limit + 1).to_pylist()
    more = len(rows) > limit
    rows = rows[:limit]
    if as_json:
        show_json({"pipeline": pipeline.name, "rejects": rows})
        return 0
    if not rows:
        click.echo("no rejects", err=True)
    for row in rows:
        click.echo(f"{click.style(row['reason'], bold=True)}: {tame(row['detail'] or '')}")
        click.echo(f"  at   {tame(_place(row))}")
        raw, encoded = row["raw"], row["raw_base64"]
        if raw is None and encoded is None:
            continue  # a whole object was rejected: its place says all
        shown = f"base64:{encoded}" if raw is None else repr(raw)[1:-1]
        partial = (raw or encoded) and not row["raw_complete"]
        click.echo(f"  raw  {shown}{'  (a part of the record)' if partial else ''}")
    if more:
        click.echo(
            f"\nthere are more: --limit shows them, `ktrans rejects export {config}` "
            "writes them all",
            err=True,
        )
    return 0


@command.command("export")
@config_argument
@reason_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write there, not to stdout.",
)
@click.option("--raw", is_flag=True, help="Only the bytes of each record as they came, one a line.")
@debug_option
def export(config: str, reason: str | None, output: Path | None, raw: bool) -> int:
    """Write all stored rejects as JSON, one a line, or their bytes as they came.

    To look at them with other tools, or to send them to those who write the logs. Bytes that are no
    text stand in `raw_base64`.
    """
    from ktrans.engine.rejects.read import stored_rejects

    pipeline, found = load(config)
    count = left_out = 0
    with output_file(output) as out:
        for rejects in stored_rejects(pipeline, found, reason):
            for row in rejects.to_pylist():
                line = _bytes(row) if raw else json.dumps(row, ensure_ascii=False).encode()
                if line is None:
                    left_out += 1
                    continue
                out.write(line + b"\n")
                count += 1
    if output is not None:
        click.echo(f"{count:,} rejects in {output}", err=True)
    if left_out:
        click.echo(f"{left_out:,} rejects have no bytes: see them without --raw", err=True)
    return 0


def _bytes(row: dict[str, Any]) -> bytes | None:
    """Give the bytes that a reject keeps of its record."""
    if row["raw"] is not None:
        return str(row["raw"]).encode()
    return None if row["raw_base64"] is None else base64.b64decode(row["raw_base64"])


def _place(row: dict[str, Any]) -> str:
    position = row["source_pos"]
    return row["source_uri"] if position is None else f"{row['source_uri']}:{position}"


@command.command("replay")
@config_argument
@json_option
@click.option("--no-progress", is_flag=True, help="No live line, even on a terminal.")
@debug_option
def replay(config: str, as_json: bool, no_progress: bool) -> int:
    """Decode the stored rejects again, after a fix; what decodes now goes to the sinks.

    What still does not decode is rejected again. The files that were replayed are deleted.
    """
    from ktrans.cli import run_common as running
    from ktrans.engine.run import replay as replay_rejects

    pipeline, found = load(config)
    stopping = running.Stopping()
    progress = running.wants_progress(quiet=as_json, no_progress=no_progress)
    with (
        running.collecting(),
        stopping.listening(),
        running.observing(found, config, progress=progress) as observer,
    ):
        receipt = replay_rejects(pipeline, found, observer, stopping.stop)
    shown = sys.stderr.isatty() and not as_json
    if as_json:
        show_json(receipt.to_json())
    running.tell(receipt, config, summary=shown, one_line=not as_json)
    return running.exit_code(receipt, stopping)
