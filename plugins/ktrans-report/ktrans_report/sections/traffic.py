"""Traffic over time: how much, and how many flows with which verdict."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section, Table
from ktrans_report.sections.common import FLOWS, measure, needs, total

_STEPS_MINUTES = (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 10_080)
_MOST_BARS = 100
_COLOURS = {"accepted": "var(--c1)", "rejected": "var(--c2)", "no verdict": "var(--c4)"}


def step_us(lake: Lake) -> int:
    """Choose the width of the bars."""
    length = (lake.end_us or 0) - (lake.start_us or 0)
    for minutes in _STEPS_MINUTES:
        if length / (minutes * 60_000_000) <= _MOST_BARS:
            return minutes * 60_000_000
    return _STEPS_MINUTES[-1] * 60_000_000


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
    made.figures.append(_amounts(lake, rows, step, unit.unit, unit.column))
    if lake.has("action") and rows:
        made.figures.append(_verdicts(rows, step))
    elif rows:
        made.missing.append(needs("Flows by verdict", "action"))
    return made


def _amounts(
    lake: Lake, rows: Sequence[dict[str, Any]], step: int, unit: str, column: str
) -> Figure:
    seconds = step / 1_000_000
    rated = unit == "bytes"
    factor, name = (8 / seconds, "bit/s") if rated else (1.0, unit)
    values = [(row["since"], float(row["v"] or 0) * factor) for row in rows]
    most = max((value for _, value in values), default=0.0)
    size, axis = text.scale(most, name)
    each = text.length(step)
    one = each.removeprefix("1 ")
    drawn = [
        {
            "at": at,
            "series": "traffic",
            "value": value / size,
            "shown": f"{text.when(at)} UTC: {text.amount(value, name)}",
        }
        for at, value in values
    ]

    def chart(width: int) -> Any:
        from ktrans_report import charts

        return charts.over_time(drawn, step, ["traffic"], axis, width)

    busiest = max(values, key=lambda pair: pair[1], default=(0, 0.0))
    finding = (
        f"{text.amount(total(lake, column), unit)} in all; the most in the {one} from"
        f" {text.when(busiest[0])} UTC"
        + (f", with {text.amount(busiest[1], name)} on average." if rated else ".")
        if values
        else "There are no flows in this period."
    )
    cells = [
        [
            text.when(row["since"]),
            text.amount(row["v"], unit),
            *([text.amount(value, name)] if rated else []),
        ]
        for row, (_, value) in zip(rows, values, strict=True)
    ]
    head = [("From (UTC)", "text"), (unit.capitalize(), "number")]
    return Figure(
        "traffic-amount",
        "Average rate" if rated else unit.capitalize(),
        finding,
        Table([*head, ("Average rate", "number")] if rated else head, cells),  # type: ignore[list-item, arg-type]
        chart if values else None,
        f"A row counts whole at the time when it begins. Each bar is {each}.",
    )


def _verdicts(rows: Sequence[dict[str, Any]], step: int) -> Figure:
    keys = {"accept": "accepted", "reject": "rejected", "other": "no verdict"}
    used = [(key, name) for key, name in keys.items() if any(row[key] for row in rows)]
    most = max(sum(row[key] or 0 for key in keys) for row in rows)
    size, axis = text.scale(most, "flows")
    drawn = [
        {
            "at": row["since"],
            "series": name,
            "value": row[key] / size,
            "shown": f"{text.when(row['since'])} UTC, {name}: {text.amount(row[key], 'flows')}",
        }
        for row in rows
        for key, name in used
        if row[key]
    ]

    def chart(width: int) -> Any:
        from ktrans_report import charts

        names = [name for _, name in used]
        colours = [_COLOURS[name] for name in names]
        return charts.over_time(drawn, step, names, axis, width, colours)

    rejected = sum(row["reject"] or 0 for row in rows)
    judged = rejected + sum(row["accept"] or 0 for row in rows)
    finding = (
        f"{text.number(rejected)} of {text.amount(judged, 'flows')} with a verdict"
        f" ({text.share(rejected, judged)}) were rejected or dropped."
    )
    if rejected:
        worst = max(rows, key=lambda row: row["reject"] or 0)
        finding += f" The most rejections came from {text.when(worst['since'])} UTC on."
    cells = [
        [text.when(row["since"]), *(text.number(row[key] or 0) for key, _ in used)] for row in rows
    ]
    head = [("From (UTC)", "text"), *((name.capitalize(), "number") for _, name in used)]
    return Figure(
        "traffic-verdict",
        "Flows by verdict",
        finding,
        Table(head, cells),  # type: ignore[arg-type]
        chart,
        "Every report counts here, also second reports of a flow.",
    )
