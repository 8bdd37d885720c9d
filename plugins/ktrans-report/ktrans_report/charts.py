"""The kinds of charts, as specifications of Vega-Lite: bars over time, bars side by side, grids.

Colours are CSS variables, for light and dark mode. Each chart is drawn twice: for wide screens and
paper, and for phones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ktrans_report.text import clean

Spec = dict[str, Any]

NARROW = 480
"""Widths below are for phones."""

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
SERIES = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
STEPS = tuple(f"var(--s{number})" for number in range(7))
"""From nothing to the most."""
_PLAIN = ",.3~f"
SHOWN = {"field": "d", "type": "nominal"}


def _chart(width: int, height: int | Spec, **parts: Any) -> Spec:
    narrow = width < NARROW
    axis = {"labelColor": SOFT, "titleColor": SOFT, "labelFontSize": 12, "titleFontSize": 12,
            "titleFontWeight": "normal", "gridColor": LINE, "domainColor": LINE, "tickColor": LINE,
            "labelLimit": 130 if narrow else 280}  # fmt: skip
    legend = {"orient": "top", "title": None, "labelColor": INK, "labelFontSize": 12,
              "symbolType": "square", "symbolSize": 130, "columns": 2 if narrow else 6,
              "labelLimit": 300}  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "config": {
            "background": "transparent",
            "padding": {"left": 2, "right": 10, "top": 4, "bottom": 2},
            "autosize": {"type": "fit-x", "contains": "padding"},
            "font": "Arial, Helvetica, sans-serif",
            "view": {"stroke": None},
            "axis": axis,
            "legend": legend,
        },
        **parts,
    }


def _series_color(series: Sequence[str], colours: Sequence[str], **legend: Any) -> Spec:
    names = list(series)
    scale = {"domain": names, "range": list(colours[: len(names)])}
    shown = legend if legend or len(names) > 1 else None
    return {"field": "s", "type": "nominal", "sort": names, "scale": scale, "legend": shown}


def _positions(
    field: str, names: Sequence[str], limit: int, title: str | None, scale: Spec, **axis: Any
) -> Spec:
    """Make an axis of positions with names.

    The names come from logs. As JSON texts they are literals in Vega's expressions, whatever they
    contain.
    """
    texts = json.dumps([_short(clean(name), limit) for name in names], ensure_ascii=True)
    axis |= {"labelExpr": f"{texts}[datum.value]", "ticks": False, "domain": False}
    scale = {"domain": list(range(len(names))), **scale}
    return {"field": field, "type": "ordinal", "title": title, "scale": scale, "axis": axis}


def _short(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    head = limit * 2 // 3
    return f"{name[:head]}…{name[len(name) - (limit - head - 1) :]}"


def over_time(
    rows: Sequence[Mapping[str, Any]],
    step_us: int,
    series: Sequence[str],
    axis: str,
    width: int,
    colours: Sequence[str] = SERIES,
) -> Spec:
    """Draw stacked bars over time.

    A row has `at` (microseconds), `series`, `value` and `shown`; `axis` is the values' title.
    """
    values = []
    tops: dict[int, float] = {}
    for row in sorted(rows, key=lambda row: series.index(row["series"])):
        begin, low = row["at"], tops.get(row["at"], 0.0)
        tops[begin] = high = low + row["value"]
        values.append({"a": begin / 1000, "z": (begin + step_us) / 1000, "s": row["series"],
                       "v": low, "w": high, "d": row["shown"]})  # fmt: skip
    lowest = min((row["at"] for row in rows), default=0) / 1000
    highest = (max((row["at"] for row in rows), default=0) + step_us) / 1000
    labels = "%H:%M" if highest - lowest <= 36 * 3_600_000 else "%d %b"
    narrow = width < NARROW
    x = {"field": "a", "type": "temporal", "title": "UTC",
         "scale": {"type": "utc", "domain": [lowest, highest], "nice": False},
         "axis": {"format": labels, "grid": False, "tickCount": 4 if narrow else 9,
                  "labelOverlap": True, "labelFlush": True}}  # fmt: skip
    y = {"field": "v", "type": "quantitative", "title": axis, "scale": {"zero": True},
         "axis": {"tickCount": 5, "format": _PLAIN}}  # fmt: skip
    border = 0.5 if len(tops) < width / 4 else 0
    return _chart(
        width,
        200 if narrow else 240,
        data={"values": values},
        mark={"type": "rect", "stroke": "var(--paper)", "strokeWidth": border},
        encoding={
            "x": x,
            "x2": {"field": "z"},
            "y": y,
            "y2": {"field": "w"},
            "color": _series_color(series, colours),
            "description": SHOWN,
        },
    )


def bars(
    rows: Sequence[Mapping[str, Any]],
    series: Sequence[str],
    axis: str,
    width: int,
    colours: Sequence[str] = SERIES,
) -> Spec:
    """Draw bars side by side, each with its total behind it.

    A row has `name`, `parts` (a value a series) and `shown` (the total); `axis` is the values' title.
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
    narrow = width < NARROW
    y = _positions("n", names, 19 if narrow else 46, None, {"paddingInner": 0.25},
                   labelPadding=6, labelColor=INK)  # fmt: skip
    most = max((row["v"] for row in ends), default=0) or 1
    x = {"field": "v", "type": "quantitative", "title": axis, "stack": "zero",
         "scale": {"domain": [0, most * (1.45 if narrow else 1.16)], "nice": False},
         "axis": {"tickCount": 3 if narrow else 6, "format": _PLAIN}}  # fmt: skip
    drawn = {
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "x": x,
            "y": y,
            "color": _series_color(series, colours),
            "order": {"field": "o", "type": "quantitative"},
            "description": SHOWN,
        },
    }
    labels = {
        "data": {"values": ends},
        "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 12, "fill": INK,
                 "aria": False},
        "encoding": {"x": {"field": "v", "type": "quantitative"}, "y": y,
                     "text": {"field": "t", "type": "nominal"}},
    }  # fmt: skip
    return _chart(width, {"step": 26}, layer=[drawn, labels])


def grid(
    cells: Sequence[Mapping[str, Any]],
    across: Sequence[str],
    down: Sequence[str],
    states: Mapping[str, str],
    width: int,
    *,
    titles: tuple[str | None, str | None] = (None, None),
    slanted: bool = False,
    mark: str = INK,
) -> Spec:
    """Draw a grid whose cells have one of a few states.

    A cell has `x` and `y` (positions), `state`, `shown` and `mark` (a short text in it). Columns with an
    empty name get no label; `slanted` is for long names; `states` gives each state's colour.
    """
    values = [
        {"x": cell["x"], "y": cell["y"], "s": cell["state"], "d": cell["shown"], "m": cell["mark"]}
        for cell in cells
    ]
    narrow = width < NARROW
    gap = 0.04 if len(across) < 40 else 0  # noqa: PLR2004 - narrow cells touch
    places = {
        "x": _positions("x", across, 12 if narrow else 18, titles[0], {"padding": gap},
                        values=[at for at, name in enumerate(across) if name],
                        labelAngle=-40 if slanted else 0, labelOverlap=not slanted,
                        labelFlush=not slanted),
        "y": _positions("y", down, 15 if narrow else 40, titles[1], {"padding": 0.08},
                        labelPadding=6, labelColor=INK),
    }  # fmt: skip
    used = [state for state in states if any(value["s"] == state for value in values)]
    color = _series_color(
        used, [states[state] for state in used], columns=2 if narrow else len(used)
    )
    rectangles = {
        "mark": {"type": "rect", "stroke": LINE, "strokeWidth": 0.5},
        "encoding": {**places, "color": color, "description": SHOWN},
    }
    marks = {
        "transform": [{"filter": "datum.m != ''"}],
        "mark": {"type": "text", "fontSize": 10 if narrow else 12, "aria": False},
        "encoding": {**places, "text": {"field": "m", "type": "nominal"}, "color": {"value": mark}},
    }
    layers = [rectangles, marks] if any(cell["mark"] for cell in cells) else [rectangles]
    step = {"step": 34 if slanted else 24}
    return _chart(width, step, data={"values": values}, layer=layers)
