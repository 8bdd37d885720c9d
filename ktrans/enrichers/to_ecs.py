"""The `to_ecs` enricher: flow rows as documents of the Elastic Common Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, StringConstraints

from ktrans.enrichers.reshape.base import ReshapeConfig, ReshapeEnricher, Rule
from ktrans.enrichers.reshape.batch_view import View, only_where
from ktrans.enrichers.reshape.rules import as_texts, lists_of
from ktrans.flow.maps import extended, renamed
from ktrans.flow.schema import ATTRS
from ktrans.flow.target_schemas.attribute import Attribute
from ktrans.flow.target_schemas.ecs import ECS, ECS_LABELS

_TYPES = (("connection",), ("connection", "allowed"), ("connection", "denied"))
_VERDICTS = {"accept": 1, "reject": 2, "drop": 2}


class ToEcsEnricherConfig(ReshapeConfig, type="to_ecs"):
    """Turns flow rows into documents of the Elastic Common Schema (ECS).

    source and destination are the flow's ends, with what each of them sent; their ip is the
    packet's own address, and nat.ip the interface's where that differs. network.bytes and packets
    are the sum of both directions, and left out where the log counts one direction only. Rows
    without any address are no connections and are filtered.

    For Elasticsearch's bulk API use the format `es_bulk`, and keep `source_uri` and `source_pos`,
    from which it makes document ids.
    """

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
    # ECS: keys of labels have no dots, which would nest them.
    native = renamed(view.column("attrs", ATTRS), lambda key: key.replace(".", "_"))
    return extended(native, as_texts(view, ECS_LABELS))


class ToEcsEnricher(ReshapeEnricher[ToEcsEnricherConfig]):
    """Makes ECS documents."""

    target = "ecs"
    table = ECS
    own_rules: Mapping[str, Rule] = {
        "event_type": _event_type,
        "translated": _translated,
        "by_direction": _by_direction,
        "labels": _labels,
    }

    def parts(self) -> Sequence[str]:
        """Return the optional parts."""
        return self.config.parts
