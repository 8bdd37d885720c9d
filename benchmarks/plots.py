"""Draws bars with their spread as SVG, by Vega-Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

COLOURS = ("#1f6f8b", "#e0a030", "#8a5a9e", "#7a8a60", "#b0563f")
_STEP = 15


class Bar(NamedTuple):
    """One bar: its group and name, its length, and between which values it varied."""

    group: str
    name: str
    value: float
    low: float
    high: float


def draw(bars: Sequence[Bar], title: str) -> str:
    """Draw bars side by side, grouped."""
    import vl_convert

    return vl_convert.vegalite_to_svg(_together(bars, title)) + "\n"


def draw_apart(bars: Sequence[Bar], title: str) -> str:
    """Draw each group of bars below the other, with names of its own."""
    import vl_convert

    groups = list(dict.fromkeys(bar.group for bar in bars))
    parts = [_alone([bar for bar in bars if bar.group == group], group, title) for group in groups]
    spec = {**_BASE, "vconcat": parts, "resolve": {"scale": {"x": "independent"}}}
    return vl_convert.vegalite_to_svg(spec) + "\n"


_BASE: dict[str, Any] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "background": "white",
    "padding": 8,
    "config": {
        "font": "Arial, Helvetica, sans-serif",
        "view": {"stroke": None},
        "axis": {"labelLimit": 340, "grid": True, "gridColor": "#e4e4e4"},
        "title": {"anchor": "start", "fontSize": 12, "fontWeight": "normal"},
    },
}


def _values(bars: Sequence[Bar]) -> dict[str, Any]:
    return {"values": [bar._asdict() for bar in bars]}


def _layers(x_title: str) -> list[dict[str, Any]]:
    axis = {"title": x_title, "format": "~s"}
    return [
        {
            "mark": {"type": "bar"},
            "encoding": {"x": {"field": "value", "type": "quantitative", "axis": axis}},
        },
        {
            "mark": {"type": "rule", "color": "#222222"},
            "encoding": {
                "x": {"field": "low", "type": "quantitative"},
                "x2": {"field": "high"},
                "color": {"value": "#222222"},
            },
        },
    ]


def _together(bars: Sequence[Bar], title: str) -> dict[str, Any]:
    names = list(dict.fromkeys(bar.name for bar in bars))
    groups = list(dict.fromkeys(bar.group for bar in bars))
    colour = {"domain": names, "range": list(COLOURS[: len(names)])}
    return {
        **_BASE,
        "data": _values(bars),
        "width": 460,
        "height": {"step": _STEP},
        "encoding": {
            "y": {"field": "group", "type": "nominal", "sort": groups, "title": None},
            "yOffset": {"field": "name", "type": "nominal", "sort": names},
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": colour,
                "legend": {"orient": "top", "title": None},
            },
        },
        "layer": _layers(title),
    }


def _alone(bars: Sequence[Bar], heading: str, title: str) -> dict[str, Any]:
    return {
        "title": heading,
        "data": _values(bars),
        "width": 460,
        "height": {"step": _STEP + 5},
        "encoding": {
            "y": {
                "field": "name",
                "type": "nominal",
                "sort": [bar.name for bar in bars],
                "title": None,
                "axis": {"minExtent": 150, "grid": False},
            },
            "color": {"value": COLOURS[0]},
        },
        "layer": _layers(title),
    }
