"""Draws charts as SVG that is safe inside a page: no scripts, no links, unique ids."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

from ktrans_report.text import clean

_SVG = "http://www.w3.org/2000/svg"
_TAGS = frozenset(
    f"{{{_SVG}}}{tag}"
    for tag in ("svg", "g", "path", "rect", "line", "text", "tspan", "defs", "clipPath", "title")
)
_KEPT = frozenset(
    (
        "d", "transform", "width", "height", "viewBox", "x", "y", "x1", "x2", "y1", "y2", "fill",
        "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "stroke-opacity",
        "text-anchor", "font-family", "font-size", "font-weight", "class", "clip-path", "id",
        "display",
    )
)  # fmt: skip
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def draw(chart: Any, label: str, prefix: str) -> str:
    """Draw a chart.

    Args:
        chart: of Altair.
        label: its text alternative.
        prefix: makes the ids of this drawing unique on the page.
    """
    import vl_convert

    ET.register_namespace("", _SVG)
    drawn = vl_convert.vegalite_to_svg(chart.to_dict())
    # Vega wrote the text, from data in which `clean` has replaced characters that XML forbids.
    root = ET.fromstring(drawn)  # noqa: S314
    _sanitize(root, prefix)
    width, height = root.get("width", "0"), root.get("height", "0")
    root.attrib.clear()
    root.attrib.update(
        {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": clean(label, 600)}
    )
    root.set("style", f"max-width:{float(width) * 1.15:.0f}px")
    return ET.tostring(root, encoding="unicode")


def _sanitize(element: ET.Element, prefix: str) -> None:
    """Keep what is visible, and turn the label of a mark into its tooltip."""
    label = element.get("aria-label") if element.get("aria-roledescription") in _MARKS else None
    for name in list(element.attrib):
        value = element.attrib[name]
        if name not in _KEPT or (name == "opacity" and value == "1"):
            del element.attrib[name]
        elif name == "id":
            element.set(name, f"{prefix}-{value}")
        elif name == "clip-path":
            element.set(name, value.replace("#", f"#{prefix}-"))
        elif name in {"d", "transform"}:
            element.set(name, _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", value))
    for child in list(element):
        if child.tag not in _TAGS or _empty(child):
            element.remove(child)
        else:
            _sanitize(child, prefix)
    if label is not None:
        ET.SubElement(element, f"{{{_SVG}}}title").text = label


_MARKS = frozenset({"bar", "rect", "rect mark"})


def _empty(element: ET.Element) -> bool:
    """Return whether an element draws nothing, such as a path without length."""
    path = element.get("d")
    if element.get("display") == "none" or path in {"", "M0,0h0v0h0Z"}:
        return True
    return element.get("class") in {"background", "foreground"}
