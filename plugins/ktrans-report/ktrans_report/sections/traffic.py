"""Traffic over time: how much, and how many flows with which verdict."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section
from ktrans_report.sections.common import FLOWS, Column, measure, needs, table, total

_STEPS_MINUTES = (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 10_080)
_MOST_BARS = 100
_COLOURS = {"accepted": "var(--c1)", "rejected": "var(--c2)", "no verdict": "var(--c4)"}


def step_us(lake: Lake) -> int:
    """Choose the width of the bars."""
    length = (lake.end_us or 0) - (lake.start_us or 0)
    fitting = (m for m in _STEPS_MINUTES if length / (m * 60_000_000) <= _MOST_BARS)
    return next(fitting, _STEPS_MINUTES[-1]) * 60_000_000


def section(lake: Lake) -> Section:
    """Show how much was moved when."""
    step = step_us(lake)
    unit = measure(lake)
    made = Section("traffic", "Traffic over time", data={"step_secs": step // 1_000_000})
    rows = lake.ask(
        f"SELECT us // {step} * {step} AS since, sum({unit.column}) FILTER (counted) AS v,"
        " sum(n) FILTER (verdict = 'accept') AS accept,"
        " sum(n) FILTER (verdict = 'reject') AS reject, sum(n) FILTER (verdict IS NULL) AS other"
        f" FROM flows WHERE {FLOWS} GROUP BY 1 ORDER BY 1"
    )
    made.data["by_time"] = [
        {**row, "since": text.moment(row["since"]).isoformat()}
        | {unit.unit: row["v"]}  # by the measure's own name too
        for row in rows
    ]
    for row in rows:
        row["from"] = text.when(row["since"])
    made.figures.append(_amounts(lake, rows, step, unit.unit, unit.column))
    if lake.has("action") and rows:
        made.figures.append(_verdicts(rows, step))
    elif rows:
        made.missing.append(needs("Flows by verdict", "action"))
    return made


def _amounts(
    lake: Lake, rows: Sequence[dict[str, Any]], step: int, unit: str, column: str
) -> Figure:
    rated = unit == "bytes"
    factor, name = (8e6 / step, "bit/s") if rated else (1.0, unit)
    for row in rows:
        row["rate"] = float(row["v"] or 0) * factor
    each = text.length(step)
    finding = "There are no flows in this period."
    if rows:
        busiest = max(rows, key=lambda row: row["rate"])
        finding = (
            f"{text.amount(total(lake, column), unit)} in all; the most in the"
            f" {each.removeprefix('1 ')} from {busiest['from']} UTC"
            + (f", with {text.amount(busiest['rate'], name)} on average." if rated else ".")
        )
    rate: list[Column] = [("rate", "Average rate", name)] if rated else []
    return Figure(
        "traffic-amount",
        "Average rate" if rated else unit.capitalize(),
        finding,
        table(rows, [("from", "From (UTC)", ""), ("v", unit.capitalize(), unit), *rate]),
        _chart(rows, step, {"rate": ""}, name) if rows else None,
        f"A row counts whole at the time when it begins. Each bar is {each}.",
    )


def _verdicts(rows: Sequence[dict[str, Any]], step: int) -> Figure:
    keys = {"accept": "accepted", "reject": "rejected", "other": "no verdict"}
    used = {key: name for key, name in keys.items() if any(row[key] for row in rows)}
    rejected = sum(row["reject"] or 0 for row in rows)
    judged = rejected + sum(row["accept"] or 0 for row in rows)
    finding = (
        f"{text.number(rejected)} of {text.amount(judged, 'flows')} with a verdict"
        f" ({text.share(rejected, judged)}) were rejected or dropped."
    )
    if rejected:
        worst = max(rows, key=lambda row: row["reject"] or 0)
        finding += f" The most rejections came from {worst['from']} UTC on."
    counts = [(key, name.capitalize(), "count") for key, name in used.items()]
    return Figure(
        "traffic-verdict",
        "Flows by verdict",
        finding,
        table(rows, [("from", "From (UTC)", ""), *counts]),
        _chart(rows, step, used, "flows"),
        "Every report counts here, also second reports of a flow.",
    )


def _chart(
    rows: Sequence[dict[str, Any]], step: int, series: Mapping[str, str], unit: str
) -> Callable[[int], Any]:
    """Prepare bars over time; a series that is alone has no name."""
    size, axis = text.scale(max(sum(row[key] or 0 for key in series) for row in rows), unit)
    drawn = [
        {
            "at": row["since"],
            "series": name,
            "value": row[key] / size,
            "shown": f"{row['from']} UTC{name and ', '}{name}: {text.amount(row[key], unit)}",
        }
        for row in rows
        for key, name in series.items()
        if row[key] or len(series) == 1
    ]

    def chart(width: int) -> Any:
        from ktrans_report import charts

        names = list(series.values())
        colours = [_COLOURS.get(name, charts.SERIES[0]) for name in names]
        return charts.over_time(drawn, step, names, axis, width, colours)

    return chart
