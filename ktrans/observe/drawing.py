"""Draws the graph of a pipeline as Mermaid or SVG."""

from __future__ import annotations

from html import escape

from ktrans.observe.graph import Edge, Graph, Node

_SHAPES = {
    "source": ("([", "])"),
    "decoder": ("[", "]"),
    "enricher": ("[", "]"),
    "sink": ("[(", ")]"),
    "rejects": ("[(", ")]"),
}
_FILL = {
    "source": "#e3f0ff",
    "decoder": "#fff4d6",
    "enricher": "#eef7e4",
    "sink": "#e9e6ff",
    "rejects": "#ffe4e1",
}
_LISTED = 60
"""The largest number of columns in a tooltip."""


def mermaid(graph: Graph, *, columns: bool = False) -> str:
    """Draw for Mermaid, which GitHub, GitLab and most wikis display.

    With `columns`, each edge is labelled with the columns, not only with their number.
    """
    lines = ["flowchart LR"]
    for node in graph.nodes:
        begin, end = _SHAPES[node.kind]
        text = "<br/>".join(_mermaid_text(part) for part in _lines(node))
        lines.append(f'    {node.id}{begin}"{text}"{end}')
    for edge in graph.edges:
        text = "<br/>".join(_mermaid_text(part) for part in _labels(edge, columns=columns))
        arrow = "-.->" if edge.label == "rejects" else "-->"
        lines.append(f'    {edge.start} {arrow}|"{text}"| {edge.end}')
    lines += [
        f"    style {node.id} fill:{_FILL[node.kind]},stroke:#555,color:#111"
        for node in graph.nodes
    ]
    return "\n".join(lines) + "\n"


def svg(graph: Graph) -> str:
    """Draw a self-contained SVG picture; columns and conditions are tooltips.

    The stages are in a row, and sinks and rejects in a column at its end.
    """
    wide, high, gap, down = 170, 58, 110, 84
    stages = [node for node in graph.nodes if node.kind in {"source", "decoder", "enricher"}]
    ends = [node for node in graph.nodes if node not in stages]
    height = max(len(ends), 1) * down + 20
    middle = (height - high) / 2
    place: dict[str, tuple[float, float]] = {
        node.id: (20 + i * (wide + gap), middle) for i, node in enumerate(stages)
    }
    right = 20 + len(stages) * (wide + gap) + 50
    place |= {node.id: (right, 20 + i * down) for i, node in enumerate(ends)}
    if ends and ends[-1].kind == "rejects":
        height += down  # room for the line around the enrichers
        place[ends[-1].id] = (right, height - high - 10)
    parts = [_line(edge, place, wide, high, height) for edge in graph.edges]
    parts += [_box(node, *place[node.id], wide, high) for node in graph.nodes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + wide + 20} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img">\n'
        f"<title>Pipeline {escape(graph.name)}</title>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _lines(node: Node) -> list[str]:
    """Return the lines of text in the box of a node."""
    first = node.type if node.kind in {"source", "decoder", "enricher"} else node.name
    second = node.kind if first == node.type else f"{node.kind}: {node.type}"
    return [first, second, *([node.note] if node.note else [])]


def _labels(edge: Edge, *, columns: bool) -> list[str]:
    labels = [edge.label]
    if columns and edge.columns:
        labels = [f"{name} {kind}" for name, kind in edge.columns]
    return [*labels, *([f"where {edge.where}"] if edge.where else [])]


def _mermaid_text(text: str) -> str:
    """Escape text for Mermaid labels, where entities start with a hash."""
    return escape(text, quote=False).replace("&", "#").replace('"', "#quot;")


def _box(node: Node, left: float, top: float, wide: int, high: int) -> str:
    texts = _lines(node)
    first = top + high / 2 - 8 * (len(texts) - 1) + 4
    looks = ['fill="#111" font-weight="600"', 'fill="#555"', 'fill="#555"']
    spans = "".join(
        f'<text x="{left + wide / 2}" y="{first + 16 * i}" text-anchor="middle" {looks[i]}>'
        f"{escape(_cut(text))}</text>"
        for i, text in enumerate(texts)
    )
    return (
        f'<g id="node-{node.id}" data-name="{escape(node.name)}"><title>{escape(node.name)}</title>'
        f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" rx="8" '
        f'fill="{_FILL[node.kind]}" stroke="#555"/>{spans}</g>'
    )


def _line(
    edge: Edge, place: dict[str, tuple[float, float]], wide: int, high: int, height: float
) -> str:
    left, top = place[edge.start]
    right, low = place[edge.end]
    x1, y1, x2, y2 = left + wide, top + high / 2, right, low + high / 2
    if edge.label == "rejects":
        x1, y1 = left + wide / 2, top + high
        path = f"M{x1} {y1}V{height - high / 2 - 10}H{x2}"
        at, anchor = (x1 + 8, y1 + 18), "start"
    else:
        bend = (x1 + x2) / 2
        path = f"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}"
        at, anchor = ((x1 + 12, y1 - 8), "start") if y1 == y2 else ((x2 - 12, y2 - 6), "end")
    listed = [f"{name} {kind}" for name, kind in edge.columns[:_LISTED]]
    if len(edge.columns) > _LISTED:
        listed.append(f"and {len(edge.columns) - _LISTED} more")
    tip = "\n".join([*([f"where {edge.where}", ""] if edge.where else []), *listed])
    label = edge.label + (", some rows" if edge.where else "")
    dashes = ' stroke-dasharray="5 4"' if edge.label == "rejects" else ""
    return (
        f"<g><title>{escape(tip or edge.label)}</title>"
        f'<path d="{path}" fill="none" stroke="#555" stroke-width="1.5" marker-end="url(#tip)"'
        f"{dashes}/>"
        f'<text x="{at[0]}" y="{at[1]}" fill="#444" font-size="11" text-anchor="{anchor}">{escape(label)}</text></g>'
    )


def _cut(text: str, room: int = 24) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"
