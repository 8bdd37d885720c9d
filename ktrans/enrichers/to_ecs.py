"""The `to_ecs` enricher: flow rows as documents of the Elastic Common Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, StringConstraints

from ktrans.enrichers.reshape.base import ReshapeConfig, ReshapeEnricher, Rule
from ktrans.enrichers.reshape.batch_view import RULES, View, lists_of, number_text, only_where
from ktrans.flow.maps import extended, renamed
from ktrans.flow.schema import ATTRS, BY_NAME, TEXT
from ktrans.flow.target_schemas.attribute import Attribute
from ktrans.flow.target_schemas.ecs import ECS, ECS_LABELS

_TYPES = (("connection",), ("connection", "allowed"), ("connection", "denied"))
_VERDICTS = {"accept": 1, "reject": 2, "drop": 2}


class ToEcsEnricherConfig(ReshapeConfig):
    """Turns flow rows into documents of the Elastic Common Schema (ECS).

    source and destination are the flow's ends, with what each of them sent; their ip is the
    packet's own address, and nat.ip the interface's where that differs. network.bytes and packets
    are the sum of both directions, and left out where the log counts one direction only. Rows
    without any address are no connections and are filtered.

    For Elasticsearch's bulk API use the format `es_bulk`, and keep `source_uri` and `source_pos`,
    from which it makes document ids.
    """

    type: Literal["to_ecs"] = Field(
        "to_ecs", description="Which component this is.", examples=["to_ecs"]
    )
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        "8.17.0", description="What `ecs.version` says.", examples=["8.17.0", "9.2.0"]
    )
    parts: list[Literal["related", "labels", "lineage"]] = Field(
        ["related", "labels"],
        description=(
            "Optional parts: `related` lists the addresses in related.ip, `labels` holds fields "
            "that ECS has no place for, `lineage` says which object the row came from."
        ),
        examples=[["related", "labels", "lineage"]],
    )


class ToEcsEnricher(ReshapeEnricher[ToEcsEnricherConfig]):
    """Makes ECS documents."""

    def attributes(self) -> Sequence[Attribute]:
        """Return the attributes of the parts."""
        parts = {"", *self.config.parts}
        return [each for each in ECS if each.part in parts]

    def rules(self) -> Mapping[str, Rule]:
        """Add what only ECS needs."""
        own: dict[str, Rule] = {
            "event_type": _event_type,
            "translated": _translated,
            "by_direction": _by_direction,
            "labels": _labels,
        }
        return {**RULES, **own}

    def settings(self) -> Mapping[str, Any]:
        """Return the version."""
        return {"version": self.config.version}

    def target(self) -> str:
        """Name schema and version."""
        return f"ecs {self.config.version}"


def _event_type(view: View, attribute: Attribute) -> pa.Array:
    return lists_of(_TYPES, view.codes(attribute.columns[0], _VERDICTS, 0))


def _translated(view: View, attribute: Attribute) -> pa.Array:
    return view.differing(*attribute.columns)


def _by_direction(view: View, attribute: Attribute) -> pa.Array:
    egress = view.codes("direction", {"egress": 1}, 0) == 1
    mask = egress if attribute.value == "egress" else ~egress
    return only_where(view.text(attribute.columns[0]), mask)


def _labels(view: View, attribute: Attribute) -> pa.Array:
    del attribute
    fields = []
    for name in ECS_LABELS:
        if BY_NAME[name].type == TEXT:
            fields.append((name, view.text(name)))
        elif view.column(name, pa.int64()).null_count < view.rows:
            fields.append((name, number_text(view, Attribute((name,), TEXT, (name,)))))
    # ECS: keys of labels have no dots, which would nest them.
    native = renamed(view.column("attrs", ATTRS), lambda key: key.replace(".", "_"))
    return extended(native, fields)
