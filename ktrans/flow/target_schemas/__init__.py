"""Where flow columns go in OCSF, the Elastic Common Schema, OpenTelemetry and KTranslate: a table each.

The enrichers `to_ocsf`, `to_ecs`, `to_otel` and `to_kentik` build their output from these tables, and the page
on mappings is printed from them.
"""

from __future__ import annotations

from ktrans.flow.target_schemas.attribute import Attribute
from ktrans.flow.target_schemas.ecs import ECS
from ktrans.flow.target_schemas.ktranslate import KTRANSLATE
from ktrans.flow.target_schemas.ocsf import OCSF
from ktrans.flow.target_schemas.otel import OTEL

TARGETS: dict[str, tuple[Attribute, ...]] = {
    "OCSF": OCSF,
    "ECS": ECS,
    "OpenTelemetry": OTEL,
    "KTranslate": tuple(each for each in KTRANSLATE if each.part != "flat"),
}


def attributes_from(column: str) -> dict[str, list[Attribute]]:
    """Return the attributes that draw on a flow column, by target."""
    return {
        target: [each for each in attributes if column in each.columns]
        for target, attributes in TARGETS.items()
    }
