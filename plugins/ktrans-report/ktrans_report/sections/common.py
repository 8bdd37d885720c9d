"""Shared by sections: the measure of traffic, queries, tables, rankings, sentences on what is missing."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Measure, Table

FLOWS = "state = 'flow'"
COUNTED = "state = 'flow' AND counted"

_ADDED_BY = {
    "src_zone": "the enricher `zones` adds it",
    "src_region": "the enricher `zones` adds it",
    "src_name": "the enricher `cidr` adds it",
    "src_addr": "totals of a rollup have it if they are grouped by it",
    "dst_port": "totals of a rollup have `server_port` or `service` if they are grouped by it",
}

Column = tuple[str, str, str]
"""Of a table: the key of its values, its heading, and their unit; without one they are texts."""


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


def total(lake: Lake, column: str, where: str = COUNTED) -> Any:
    """Return the sum of a column over the flows that count, 0 if there are none."""
    return lake.one(f"SELECT sum({column}) AS v FROM flows WHERE {where}")["v"] or 0


def ranked(
    lake: Lake, name: str, sums: Mapping[str, str], *, where: str = COUNTED, limit: int = 1 << 31
) -> list[dict[str, Any]]:
    """Return sums of flows by `name`, an expression: those with the most of the first sum first."""
    columns = ", ".join(f"{expression} AS {key}" for key, expression in sums.items())
    return lake.ask(
        f"SELECT {name} AS name, {columns} FROM flows WHERE {where} GROUP BY 1"
        f" ORDER BY {next(iter(sums))} DESC NULLS LAST, name LIMIT {limit}"
    )


def traffic(lake: Lake) -> dict[str, str]:
    """Return the sums of traffic, `v`, and of flows, `n`, for `ranked`."""
    return {"v": f"sum({measure(lake).column})", "n": "sum(n)"}


def table(rows: Sequence[dict[str, Any]], columns: Sequence[Column], note: str = "") -> Table:
    """Write rows as a table."""
    return Table(
        [(head, "number" if unit else "text") for _, head, unit in columns],
        [[_cell(row[key], unit) for key, _, unit in columns] for row in rows],
        note,
    )


def _cell(value: Any, unit: str) -> str:
    write = _WRITERS.get(unit)
    return text.amount(value, unit) if write is None else write(value)


_WRITERS: dict[str, Callable[[Any], str]] = {
    "": lambda value: "" if value is None else text.clean(value, 200),
    "count": lambda value: text.number(value or 0),
    "money": "{:,.2f}".format,
    "USD": text.money,
    "USD/GB": "{:g} USD/GB".format,
}
"""How values are written that are not simply amounts of their unit."""


def bars(  # noqa: PLR0913 - a figure has many parts
    id: str,  # noqa: A002 - the figure's
    title: str,
    finding: str,
    rows: Sequence[dict[str, Any]],
    unit: str,
    *,
    first: str,
    series: Sequence[tuple[str, str]] = (),
    more: Sequence[Column] = (("n", "Flows", "count"),),
    about: str = "",
    colours: Sequence[str] = (),
) -> Figure:
    """Make a figure of bars side by side.

    Rows have `name` and the keys of the series (key and name of each part of a bar; `v` if not
    given). The table has `name` under the heading `first`, the series, and `more`.
    """
    series = series or [("v", unit.capitalize())]
    rows = [{**row, "total": sum(row[key] or 0 for key, _ in series)} for row in rows]
    size, axis = text.scale(max((row["total"] for row in rows), default=0), unit)
    drawn = [
        {
            "name": text.clean(row["name"]),
            "parts": [(row[key] or 0) / size for key, _ in series],
            "shown": text.amount(row["total"], unit),
        }
        for row in rows
    ]
    columns = [("name", first, ""), *((key, name, unit) for key, name in series)]
    if len(series) > 1:
        columns.append(("total", "Total", unit))

    def chart(width: int) -> Any:
        from ktrans_report import charts

        names = [name for _, name in series]
        return charts.bars(drawn, names, axis, width, colours or charts.SERIES)

    numbers = table(rows, [*columns, *more])
    return Figure(id, title, finding, numbers, chart if rows else None, about)
