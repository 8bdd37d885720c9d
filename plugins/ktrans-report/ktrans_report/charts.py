"""The kinds of charts: bars over time, bars side by side, grids; drawn by Vega-Altair.

Colours are CSS variables, for light and dark mode. Each chart is drawn twice: for wide screens and
paper, and for phones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ktrans_report.text import clean

NARROW = 480
"""Widths below are for phones."""

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
SERIES = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
_PLAIN = ",.3~f"
STEPS = tuple(f"var(--s{number})" for number in range(7))
"""From nothing to the most."""


def _finish(chart: Any, width: int) -> Any:
    return chart.configure(
        background="transparent",
        padding={"left": 2, "right": 10, "top": 4, "bottom": 2},
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        font="Arial, Helvetica, sans-serif",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=SOFT,
            titleColor=SOFT,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor=LINE,
            domainColor=LINE,
            tickColor=LINE,
            labelLimit=130 if width < NARROW else 280,
        ),
        legend=alt.LegendConfig(
            orient="top",
            title=None,
            labelColor=INK,
            labelFontSize=12,
            symbolType="square",
            symbolSize=130,
            columns=2 if width < NARROW else 6,
            labelLimit=300,
        ),
    )


def _series_color(series: Sequence[str], colours: Sequence[str]) -> alt.Color:
    names = list(series)
    return alt.Color(
        "s:N",
        sort=names,
        scale=alt.Scale(domain=names, range=list(colours[: len(names)])),
        legend=alt.Legend() if len(names) > 1 else None,
    )


def _row_names(names: Sequence[str], limit: int) -> alt.Axis:
    expression = _names(names, limit)
    return alt.Axis(labelExpr=expression, ticks=False, domain=False, labelPadding=6, labelColor=INK)


def over_time(
    rows: Sequence[Mapping[str, Any]],
    step_us: int,
    series: Sequence[str],
    axis: str,
    width: int,
    colours: Sequence[str] = SERIES,
) -> Any:
    """Draw stacked bars over time.

    Args:
        rows: `at` (microseconds), `series`, `value` and `shown`.
        step_us: the width of a bar.
        series: their names, in order.
        axis: title of the values' axis.
        width: in pixels.
        colours: one a series.
    """
    values = []
    tops: dict[int, float] = {}
    for row in sorted(rows, key=lambda row: series.index(row["series"])):
        low = tops.get(row["at"], 0.0)
        tops[row["at"]] = low + row["value"]
        values.append(
            {
                "a": row["at"] / 1000,
                "z": (row["at"] + step_us) / 1000,
                "s": row["series"],
                "v": low,
                "w": tops[row["at"]],
                "d": row["shown"],
            }
        )
    lowest = min((row["at"] for row in rows), default=0) / 1000
    highest = (max((row["at"] for row in rows), default=0) + step_us) / 1000
    short = highest - lowest <= 36 * 3_600_000
    scale = alt.Scale(type="utc", domain=[lowest, highest], nice=False)
    labels = "%H:%M" if short else "%d %b"
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_rect(stroke="var(--paper)", strokeWidth=0.5 if len(tops) < width / 4 else 0)
        .encode(
            x=alt.X(
                "a:T",
                scale=scale,
                title="UTC",
                axis=alt.Axis(
                    format=labels,
                    grid=False,
                    tickCount=4 if width < NARROW else 9,
                    labelOverlap=True,
                    labelFlush=True,
                ),
            ),
            x2="z:T",
            y=alt.Y(
                "v:Q",
                title=axis,
                scale=alt.Scale(zero=True),
                axis=alt.Axis(tickCount=5, format=_PLAIN),
            ),
            y2="w:Q",
            color=_series_color(series, colours),
            description="d:N",
        )
        .properties(width=width, height=200 if width < NARROW else 240)
    )
    return _finish(chart, width)


def bars(
    rows: Sequence[Mapping[str, Any]],
    series: Sequence[str],
    axis: str,
    width: int,
    colours: Sequence[str] = SERIES,
) -> Any:
    """Draw bars side by side, each with its total behind it.

    Args:
        rows: in the order to show: `name`, `parts` (a value a series), `shown` (the total).
        series: their names.
        axis: title of the values' axis.
        width: in pixels.
        colours: one a series.
    """
    names = [str(row["name"]) for row in rows]
    values = [
        {"n": at, "s": name, "o": place, "v": part, "d": f"{row['name']}, {name}: {row['shown']}"}
        for at, row in enumerate(rows)
        for place, (name, part) in enumerate(zip(series, row["parts"], strict=True))
        if part
    ]
    ends = [
        {"n": at, "v": sum(part or 0 for part in row["parts"]), "t": row["shown"]}
        for at, row in enumerate(rows)
    ]
    y = alt.Y(
        "n:O",
        title=None,
        scale=alt.Scale(domain=list(range(len(rows))), paddingInner=0.25),
        axis=_row_names(names, 19 if width < NARROW else 46),
    )
    most = max((row["v"] for row in ends), default=0) or 1
    room = 1.45 if width < NARROW else 1.16
    x = alt.X(
        "v:Q",
        title=axis,
        stack="zero",
        scale=alt.Scale(domain=[0, most * room], nice=False),
        axis=alt.Axis(tickCount=3 if width < NARROW else 6, format=_PLAIN),
    )
    drawn = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            x=x,
            y=y,
            color=_series_color(series, colours),
            order=alt.Order("o:Q"),
            description="d:N",
        )
    )
    labels = (
        alt.Chart(alt.Data(values=ends))
        .mark_text(align="left", dx=5, fontSize=12, fill=INK, aria=False)
        .encode(x="v:Q", y=y, text="t:N")
    )
    chart = (drawn + labels).properties(width=width, height=alt.Step(26))
    return _finish(chart, width)


def grid(
    cells: Sequence[Mapping[str, Any]],
    across: Sequence[str],
    down: Sequence[str],
    states: Mapping[str, str],
    width: int,
    *,
    titles: tuple[str | None, str | None] = (None, None),
    slanted: bool = False,
    mark: str = "var(--ink)",
) -> Any:
    """Draw a grid whose cells have one of a few states.

    Args:
        cells: `x` and `y` (positions), `state`, `shown`, and `mark` (a short text in the cell).
        across: names of the columns; those that are empty get no label.
        down: names of the rows.
        states: name of each state and its colour, for the legend.
        width: in pixels.
        titles: of both axes.
        slanted: whether the names of the columns are long.
        mark: colour of the texts in cells.
    """
    values = [
        {"x": cell["x"], "y": cell["y"], "s": cell["state"], "d": cell["shown"], "m": cell["mark"]}
        for cell in cells
    ]
    shown = [at for at, name in enumerate(across) if name]
    gap = 0.04 if len(across) < 40 else 0  # noqa: PLR2004 - narrow cells touch
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "x:O",
            title=titles[0],
            scale=alt.Scale(domain=list(range(len(across))), padding=gap),
            axis=alt.Axis(
                labelExpr=_names(across, 12 if width < NARROW else 18),
                values=shown,
                labelAngle=-40 if slanted else 0,
                labelOverlap=not slanted,
                labelFlush=not slanted,
                ticks=False,
                domain=False,
            ),
        ),
        y=alt.Y(
            "y:O",
            title=titles[1],
            scale=alt.Scale(domain=list(range(len(down))), padding=0.08),
            axis=_row_names(down, 15 if width < NARROW else 40),
        ),
    )
    used = [state for state in states if any(value["s"] == state for value in values)]
    drawn = base.mark_rect(stroke=LINE, strokeWidth=0.5).encode(
        color=alt.Color(
            "s:N",
            sort=used,
            scale=alt.Scale(domain=used, range=[states[state] for state in used]),
            legend=alt.Legend(columns=2 if width < NARROW else len(used)),
        ),
        description="d:N",
    )
    layers = [drawn]
    if any(cell["mark"] for cell in cells):
        layers.append(
            base.transform_filter("datum.m != ''")
            .mark_text(fontSize=10 if width < NARROW else 12, aria=False)
            .encode(
                text="m:N",
                color=alt.value(mark),
            )
        )
    high = 34 if slanted else 24
    chart = alt.layer(*layers).properties(width=width, height=alt.Step(high))
    return _finish(chart, width)


def _names(names: Sequence[str], limit: int) -> str:
    """Write the expression for the name at each position.

    The names come from logs. As JSON texts they are literals in Vega's expressions, whatever they
    contain.
    """
    import json

    texts = json.dumps([_short(clean(name), limit) for name in names], ensure_ascii=True)
    return f"{texts}[datum.value]"


def _short(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    head = limit * 2 // 3
    return f"{name[:head]}…{name[len(name) - (limit - head - 1) :]}"
