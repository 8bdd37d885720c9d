"""A bound pipeline as a graph: components, and the columns that go from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ktrans.engine.assemble import Assembly


@dataclass(frozen=True, slots=True)
class Node:
    """A component.

    Attributes:
        id: unique within the graph, fit for any notation: n0, n1, ...
        kind: source, decoder, enricher, sink or rejects.
        name: what the pipeline file calls it.
        type: its component type.
        note: what else a person should see: the sink's delivery, say.
    """

    id: str
    kind: str
    name: str
    type: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """What goes from one component to the next.

    Attributes:
        start, end: ids of nodes.
        label: in few words: "46 columns", "bytes".
        columns: name and type of each; empty if it is no rows.
        where: the condition that rows have to meet, or "".
    """

    start: str
    end: str
    label: str
    columns: tuple[tuple[str, str], ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """All of a pipeline."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the form that `ktrans graph --json` prints."""
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
    """Draw a pipeline that is built and bound."""
    pipeline = assembly.pipeline
    nodes = [
        Node("n0", "source", "source", pipeline.source.type),
        Node("n1", "decoder", "decoder", pipeline.decoder.type),
    ]
    edges = [Edge("n0", "n1", "bytes")]
    for (name, enricher), (_, before) in zip(assembly.enrichers, assembly.schemas, strict=False):
        node = Node(f"n{len(nodes)}", "enricher", name, enricher.config.type)
        edges.append(_rows(nodes[-1].id, node.id, before))
        nodes.append(node)
    last = nodes[-1].id
    for bound in assembly.sinks:
        delivery = bound.delivery.replace("_", " ")
        node = Node(f"n{len(nodes)}", "sink", bound.entry.id, bound.entry.config.type, delivery)
        nodes.append(node)
        edges.append(_rows(last, node.id, bound.schema, bound.entry.where or ""))
    if assembly.rejects is not None:
        node = Node(f"n{len(nodes)}", "rejects", "rejects", assembly.rejects.entry.config.type)
        nodes.append(node)
        edges.append(Edge("n1", node.id, "rejects"))
    return Graph(pipeline.name, tuple(nodes), tuple(edges))


def _rows(start: str, end: str, schema: pa.Schema, where: str = "") -> Edge:
    columns = tuple((field.name, type_name(field.type)) for field in schema)
    return Edge(start, end, f"{len(columns)} columns", columns, where)


def type_name(kind: pa.DataType) -> str:
    """Give a type as people call it: a dictionary of text is text."""
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
