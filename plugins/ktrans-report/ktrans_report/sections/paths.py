"""From where to where: matrices of zones, regions and networks."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

import math
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Measure, Section
from ktrans_report.sections.common import COUNTED, bars, measure, needs, ranked, table, traffic

_KINDS = (
    ("zone", "Between zones", "zone"),
    ("region", "Between regions", "region"),
    ("vpc", "Between networks (VPC)", "network"),
    ("name", "Between named networks", "network"),
    ("country", "Between countries", "country"),
)
_MOST = 9
_MOST_FIGURES = 3
_UNKNOWN = "not known"
_REST = "all others"


def section(lake: Lake, top: int) -> Section:
    """Show how much went between which places."""
    made = Section("paths", "Between zones, regions and networks")
    unit = measure(lake)
    for column, title, noun in _KINDS:
        if len(made.figures) >= _MOST_FIGURES:
            break
        if _both(lake, f"src_{column}", f"dst_{column}"):
            made.figures.append(_matrix(lake, unit, column, title, noun, made))
        elif column in {"zone", "region"}:
            made.missing.append(needs(f"The matrix of {column}s", f"src_{column}", f"dst_{column}"))
    if lake.has("path_class"):
        rows = ranked(lake, f"coalesce(path_class, '{_UNKNOWN}')", traffic(lake))
        made.data["path_class"] = rows
        total = sum(row["v"] or 0 for row in rows)
        made.figures.append(
            bars(
                "paths-class",
                "Kinds of path",
                f"{rows[0]['name']} carries the most: {text.share(rows[0]['v'] or 0, total)}."
                if rows
                else "There are no flows in this period.",
                rows[:top],
                unit.unit,
                first="Kind of path",
                about="As the enricher `zones` classified them.",
            )
        )
    return made


def _both(lake: Lake, src: str, dst: str) -> bool:
    """Return whether any flow has both ends' places."""
    if not lake.has(src, dst):
        return False
    both = f"{COUNTED} AND {src} IS NOT NULL AND {dst} IS NOT NULL"
    return bool(lake.one(f"SELECT count(*) AS n FROM flows WHERE {both}")["n"])


def _matrix(lake: Lake, unit: Measure, column: str, title: str, noun: str, made: Section) -> Figure:
    src, dst = f"src_{column}", f"dst_{column}"
    known = f"({src} IS NOT NULL OR {dst} IS NOT NULL)"
    ends = lake.ask(
        f"SELECT x, sum(v) AS v FROM (SELECT {src} AS x, {unit.column} AS v FROM flows"
        f" WHERE {COUNTED} AND {src} IS NOT NULL UNION ALL SELECT {dst}, {unit.column} FROM flows"
        f" WHERE {COUNTED} AND {dst} IS NOT NULL) GROUP BY x ORDER BY v DESC NULLS LAST, x"
    )
    names = [row["x"] for row in ends[:_MOST]]
    fold = (
        f"CASE WHEN {{0}} IS NULL THEN '{_UNKNOWN}' WHEN {{0}} IN (SELECT x FROM chosen)"
        f" THEN {{0}} ELSE '{_REST}' END"
    )
    with lake.chosen(names):
        rows = lake.ask(
            f"SELECT {fold.format(src)} AS a, {fold.format(dst)} AS b, sum({unit.column}) AS v,"
            f" sum(n) AS n FROM flows WHERE {COUNTED} AND {known} GROUP BY 1, 2"
            " ORDER BY v DESC NULLS LAST, a, b"
        )
    made.data[column] = [{"from": row["a"], "to": row["b"], unit.unit: row["v"], "flows": row["n"]}
                         for row in rows]  # fmt: skip
    present = {end for row in rows for end in (row["a"], row["b"])}
    order = [*names, *(extra for extra in (_REST, _UNKNOWN) if extra in present)]
    return Figure(
        f"paths-{column}",
        title,
        _finding(rows, unit, noun, {_UNKNOWN, _REST}),
        table(
            rows,
            [
                ("a", "From", ""),
                ("b", "To", ""),
                ("v", unit.unit.capitalize(), unit.unit),
                ("n", "Flows", "count"),
            ],
            f"The {_MOST} with the most traffic; the others are put together."
            if len(ends) > _MOST
            else "",
        ),
        lambda width: _draw(rows, order, unit, width),
        f"Rows are where flows begin, columns where they end. Flows of which neither {noun} is"
        " known are not shown. Each step of colour is ten times more.",
    )


def _finding(rows: list[dict[str, Any]], unit: Measure, noun: str, unnamed: set[str]) -> str:
    total = sum(row["v"] or 0 for row in rows)
    across = [row for row in rows if row["a"] != row["b"] and not {row["a"], row["b"]} & unnamed]
    crossing = sum(row["v"] or 0 for row in across)
    named = [row for row in rows if not {row["a"], row["b"]} & unnamed]
    if not named:
        return f"{text.amount(total, unit.unit)} have a {noun} that is known."
    of = sum(row["v"] or 0 for row in named)
    sentence = f"{text.amount(crossing, unit.unit)} ({text.share(crossing, of)}) crossed from one {noun} to another"
    if across:
        sentence += f", the most from {text.clean(across[0]['a'])} to {text.clean(across[0]['b'])}"
    return f"{sentence}."


def _draw(rows: list[dict[str, Any]], order: list[str], unit: Measure, width: int) -> Any:
    from ktrans_report import charts

    most = max((float(row["v"] or 0) for row in rows), default=0.0)
    top = math.floor(math.log10(most)) if most >= 1 else 0
    steps = [top - back for back in range(3, -1, -1)]
    steps = [step for step in steps if step >= 0]
    amounts = [f"{text.amount(10**step, unit.unit)} and more" for step in steps]
    names = ["nothing", "less", *amounts]
    shades = charts.STEPS[len(charts.STEPS) - len(names) + 1 :]
    states = dict(zip(names, (charts.STEPS[0], *shades), strict=True))
    by_place = {(row["a"], row["b"]): row for row in rows}
    cells = []
    for y, a in enumerate(order):
        for x, b in enumerate(order):
            row = by_place.get((a, b))
            value = float(row["v"] or 0) if row else 0.0
            passed = sum(value >= 10**step for step in steps)
            state = names[passed + 1] if value else names[0]
            shown = text.amount(row["v"], unit.unit) if row else "nothing"
            cells.append(
                {
                    "x": x,
                    "y": y,
                    "state": state,
                    "shown": f"{text.clean(a)} to {text.clean(b)}: {shown}",
                    "mark": _mark(value, unit) if row and width >= charts.NARROW else "",
                }
            )
    across = [text.clean(name) for name in order]
    return charts.grid(cells, across, across, states, width, titles=("to", None), slanted=True)


def _mark(value: float, unit: Measure) -> str:
    size, name = text.scale(value, unit.unit)
    return f"{text.significant(value / size)} {name.replace('bytes', 'B').split()[0]}"
