"""A pipeline as a graph: its components, and the columns that pass from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ktrans.engine.assembly import Assembly
from ktrans.flow.descriptions import type_text


@dataclass(frozen=True, slots=True)
class Node:
    """A component of the pipeline.

    Its id (n0, n1, ...) is valid in any notation; the note is such as the delivery guarantee of
    a sink.
    """

    id: str
    kind: str
    name: str
    type: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """What passes from one component to the next.

    Attributes:
        start, end: ids of nodes.
        label: a short text: "46 columns", "bytes".
        columns: the name and type of each column; empty if no rows pass.
        where: the condition that rows have to meet, or "".
    """

    start: str
    end: str
    label: str
    columns: tuple[tuple[str, str], ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The components of a pipeline, and what passes between them."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that `ktrans graph --json` prints."""
        return {
            "name": self.name,
            "nodes": [
                {"id": n.id, "kind": n.kind, "name": n.name, "type": n.type, "note": n.note}
                for n in self.nodes
            ],
            "edges": [
                {
                    "from": e.start,
                    "to": e.end,
                    "label": e.label,
                    "where": e.where,
                    "columns": [{"name": name, "type": kind} for name, kind in e.columns],
                }
                for e in self.edges
            ],
        }


def graph_of(assembly: Assembly) -> Graph:
    """Return the graph of a pipeline that is built and bound."""
    pipeline = assembly.pipeline
    nodes = [
        Node("n0", "source", "source", pipeline.source.type),
        Node("n1", "decoder", "decoder", pipeline.decoder.type),
    ]
    edges = [Edge("n0", "n1", "bytes")]
    for (name, enricher), (_, before) in zip(assembly.enrichers, assembly.schemas, strict=False):
        node = Node(f"n{len(nodes)}", "enricher", name, enricher.config.type)
        edges.append(_row_edge(nodes[-1].id, node.id, before))
        nodes.append(node)
    last = nodes[-1].id
    for bound in (*assembly.sinks, *assembly.violations):
        delivery = bound.delivery.replace("_", " ")
        node = Node(f"n{len(nodes)}", "sink", bound.entry.id, bound.entry.config.type, delivery)
        nodes.append(node)
        rules = f"breaks {', '.join(bound.rules)}" if bound.rules else ""
        edges.append(_row_edge(last, node.id, bound.schema, bound.entry.where or rules))
    if assembly.rejects is not None:
        node = Node(f"n{len(nodes)}", "rejects", "rejects", assembly.rejects.entry.config.type)
        nodes.append(node)
        edges.append(Edge("n1", node.id, "rejects"))
    return Graph(pipeline.name, tuple(nodes), tuple(edges))


def _row_edge(start: str, end: str, schema: pa.Schema, where: str = "") -> Edge:
    columns = tuple((field.name, type_text(field.type)) for field in schema)
    return Edge(start, end, f"{len(columns)} columns", columns, where)
