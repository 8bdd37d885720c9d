"""Where flow columns go in OCSF, the Elastic Common Schema and OpenTelemetry: one table a schema.

The enrichers `to_ocsf`, `to_ecs` and `to_otel` build their output from these tables, and the page
on mappings is printed from them.
"""

from __future__ import annotations

from ktrans.flow.target_schemas.attribute import TEXTS, Attribute
from ktrans.flow.target_schemas.ecs import ECS, ECS_LABELS
from ktrans.flow.target_schemas.ocsf import OCSF, OCSF_BOUNDARIES, OCSF_LEFTOVERS, OCSF_PLACES
from ktrans.flow.target_schemas.otel import OTEL

__all__ = [
    "ECS",
    "ECS_LABELS",
    "OCSF",
    "OCSF_BOUNDARIES",
    "OCSF_LEFTOVERS",
    "OCSF_PLACES",
    "OTEL",
    "TARGETS",
    "TEXTS",
    "Attribute",
    "homes",
]

TARGETS: dict[str, tuple[Attribute, ...]] = {"OCSF": OCSF, "ECS": ECS, "OpenTelemetry": OTEL}


def homes(column: str) -> dict[str, list[Attribute]]:
    """Give the attributes that draw on a flow column, by target."""
    return {
        target: [each for each in attributes if column in each.columns]
        for target, attributes in TARGETS.items()
    }
