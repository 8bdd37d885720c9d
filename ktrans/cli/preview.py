"""`ktrans preview`: shows some rows after any stage."""

from __future__ import annotations

import datetime as dt
import textwrap
from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.pipelines import config_argument, load
from ktrans.kit.cli import json_option, printable, show_json, width
from ktrans.observe.human import count

if TYPE_CHECKING:
    import pyarrow as pa

CELL = 40


@click.command("preview")
@config_argument
@click.option(
    "--rows",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="The number of rows.",
)
@click.option(
    "--after",
    metavar="STAGE",
    help="decoder, an enricher's type or number, or a sink's id; default: the last enricher.",
)
@json_option
def command(config: str, rows: int, after: str | None, as_json: bool) -> None:
    """Show some rows after any stage; writes nothing and records nothing."""
    from ktrans.flow.descriptions import type_text
    from ktrans.tools.preview import preview

    pipeline, found = load(config)
    table, rejects = preview(pipeline, found, rows, after)
    if as_json:
        show_json(
            {
                "schema": [{"name": f.name, "type": type_text(f.type)} for f in table.schema],
                "rows": _rows(table),
                "rejects": _rows(rejects),
            }
        )
        return
    click.echo(as_text(table, width()))
    if rejects.num_rows:
        click.echo(f"{count(rejects.num_rows, 'reject')}:", err=True)
        for row in rejects.slice(0, 5).to_pylist():
            click.echo(f"  {row['reason']}: {printable(row['detail'] or '')}", err=True)
            click.echo(printable(f"    {row['source_uri']}:{row['source_pos'] or ''}"), err=True)


def as_text(table: pa.Table, room: int) -> str:
    """Lay out a table in columns with their types, in as many blocks as the width requires.

    Columns without any value are only listed by name.
    """
    from ktrans.flow.descriptions import type_text

    if table.num_rows == 0:
        return "no rows"
    full = [
        (f.name, type_text(f.type), [_cell(v) for v in table.column(f.name).to_pylist()])
        for f in table.schema
        if table.column(f.name).null_count < table.num_rows
    ]
    blocks: list[list[list[str]]] = []
    used = room + 1
    for name, kind, values in full:
        cells = [name, kind, *values]
        wide = max(map(len, cells))
        if used + wide + 2 > room:
            blocks.append([[""] * 0 for _ in cells])
            used = 0
        for line, cell in zip(blocks[-1], cells, strict=True):
            line.append(cell.ljust(wide))
        used += wide + 2
    texts = []
    for block in blocks:
        lines = ["  ".join(line).rstrip() for line in block]
        lines[0], lines[1] = click.style(lines[0], bold=True), click.style(lines[1], dim=True)
        texts.append("\n".join(lines))
    empty = [f.name for f in table.schema if table.column(f.name).null_count == table.num_rows]
    if empty:
        text = f"no values in these rows: {', '.join(empty)}"
        texts.append(textwrap.fill(text, max(room, CELL)))
    return "\n\n".join(texts)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        text = value.isoformat().replace("+00:00", "Z")
    elif isinstance(value, list):
        text = ", ".join(f"{k}={v}" for k, v in value) if _is_map(value) else str(value)
    else:
        text = str(value)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= CELL else f"{text[: CELL - 3]}..."


def _is_map(value: list[Any]) -> bool:
    return all(isinstance(item, tuple) for item in value)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    return [{name: _json(value) for name, value in row.items()} for row in table.to_pylist()]


def _json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list) and _is_map(value):
        return dict(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
