"""Shared by sections: the measure of traffic, rankings, sentences on missing columns."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Align, Figure, Measure, Table

FLOWS = "state = 'flow'"
COUNTED = "state = 'flow' AND counted"

_ADDED_BY = {
    "src_zone": "the enricher `zones` adds it",
    "src_region": "the enricher `zones` adds it",
    "src_name": "the enricher `cidr` adds it",
    "src_addr": "totals of a rollup have it if they are grouped by it",
    "dst_port": "totals of a rollup have `server_port` or `service` if they are grouped by it",
}


def measure(lake: Lake) -> Measure:
    """Return the best measure of traffic that the lake has."""
    if lake.has("bytes") or lake.has("bytes_rev"):
        return Measure("b_all", "b", "b_rev", "bytes")
    if lake.has("packets") or lake.has("packets_rev"):
        return Measure("p_all", "p", "p_rev", "packets")
    return Measure("n", "n", "NULL::BIGINT", "flows")


def needs(what: str, *columns: str) -> str:
    """Write that something is not shown because a column is missing."""
    names = " and ".join(f"`{column}`" for column in columns)
    hint = next((f" ({_ADDED_BY[column]})" for column in columns if column in _ADDED_BY), "")
    have = "no row has a value in it" if len(columns) == 1 else "no row has values in both"
    return f"{what}: not shown. It needs {names}{hint}, and {have}."


def ranking(  # noqa: PLR0913 - a figure has many parts
    id: str,  # noqa: A002 - the figure's
    title: str,
    finding: str,
    rows: Sequence[dict[str, Any]],
    series: Sequence[tuple[str, str]],
    unit: str,
    *,
    first: str = "Name",
    more: Sequence[tuple[str, str, str]] = (),
    about: str = "",
    colours: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Make a figure of bars side by side.

    Args:
        id: of the figure.
        title: of the figure.
        finding: of the figure.
        rows: with `name` and the series' keys.
        series: key and name of each part of a bar.
        unit: of the values.
        first: heads the table's first column.
        more: key, heading and unit of further columns of the table.
        about: of the figure.
        colours: of the series.
        note: under the table.
    """
    totals = [sum(row[key] or 0 for key, _ in series) for row in rows]
    size, axis = text.scale(max(totals, default=0), unit)
    drawn = [
        {
            "name": text.clean(row["name"]),
            "parts": [(row[key] or 0) / size for key, _ in series],
            "shown": text.amount(total, unit),
        }
        for row, total in zip(rows, totals, strict=True)
    ]
    kinds: list[tuple[str, Align]] = [(first, "text"), *((name, "number") for _, name in series)]
    several = len(series) > 1
    if several:
        kinds.append(("Total", "number"))
    kinds += [(head, "number" if unit_ else "text") for _, head, unit_ in more]
    cells = [
        [
            text.clean(row["name"]),
            *(text.amount(row[key], unit) for key, _ in series),
            *([text.amount(total, unit)] if several else []),
            *(_cell(row[key], unit_) for key, _, unit_ in more),
        ]
        for row, total in zip(rows, totals, strict=True)
    ]

    def chart(width: int) -> Any:
        from ktrans_report import charts

        names = [name for _, name in series]
        return charts.bars(drawn, names, axis, width, colours or charts.SERIES)

    return Figure(id, title, finding, Table(kinds, cells, note), chart if rows else None, about)


def traffic_ranking(
    id: str,  # noqa: A002 - the figure's
    title: str,
    finding: str,
    rows: Sequence[dict[str, Any]],
    unit: str,
    first: str,
    about: str,
) -> Figure:
    """Make a ranking of the traffic `v`, with the number of flows `n` in the table."""
    series, more = [("v", unit.capitalize())], [("n", "Flows", "flows")]
    return ranking(id, title, finding, rows, series, unit, first=first, more=more, about=about)


def total(lake: Lake, column: str, where: str = COUNTED) -> Any:
    """Return the sum of a column over the flows that count, 0 if there are none."""
    return lake.one(f"SELECT sum({column}) AS v FROM flows WHERE {where}")["v"] or 0


def _cell(value: Any, unit: str) -> str:
    if value is None:
        return ""
    if unit in {"count", "flows"}:
        return text.number(value)
    return text.amount(value, unit) if unit else text.clean(value)
