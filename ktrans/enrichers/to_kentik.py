"""The `to_kentik` enricher: flow rows as records of Kentik's KTranslate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.enrichers.reshape.base import ReshapeConfig, ReshapeEnricher, Rule
from ktrans.enrichers.reshape.batch_view import View, only_where
from ktrans.enrichers.reshape.rules import RULES
from ktrans.flow.columns import coalesce_text
from ktrans.flow.maps import extended
from ktrans.flow.schema import ATTRS
from ktrans.flow.target_schemas.attribute import LONG, Attribute
from ktrans.flow.target_schemas.ktranslate import CUSTOM_TEXTS, KTRANSLATE

_compute: Any = pc
_SOURCE = 1


class ToKentikEnricherConfig(ReshapeConfig, type="to_kentik"):
    """Turns flow rows into records of Kentik's KTranslate (JCHF), with its names and units.

    The default is its format `json`, which KTranslate itself takes at `/input/ktranslate/jchf`: native
    fields without a place of their own, and those that its inputs for clouds add, are in `custom_str`
    and `custom_bigint`. Rows without any address are filtered.
    """

    flat: bool = Field(
        False,
        description="Write the format `flat_json`: what its inputs add is at the top. Other native fields "
        "are left out, unless `extra` names columns with them.",
        examples=[True],
    )
    sample_rate: int = Field(
        1,
        ge=1,
        description="What `sample_rate` says: of how many packets the log has counted one.",
        examples=[1000],
    )


def _ways(view: View, attribute: Attribute) -> tuple[pa.Array, pa.Array, np.ndarray]:
    """Return a counter of both directions, and the rows that were seen on the way out only."""
    back, there = (name for name in (*attribute.columns, *attribute.by) if name != "direction")
    if not back.endswith("_rev"):
        back, there = there, back
    counts, reverse = view.column(there, LONG), view.column(back, LONG)
    egress = view.codes("direction", {"egress": 1}, 0) == 1
    return counts, reverse, egress & np.asarray(reverse.is_null())


def _way_in(view: View, attribute: Attribute) -> pa.Array:
    counts, _, only_out = _ways(view, attribute)
    zero = _compute.if_else(counts.is_valid(), pa.scalar(0, LONG), pa.scalar(None, LONG))
    return _compute.if_else(pa.array(only_out), zero, counts)


def _way_out(view: View, attribute: Attribute) -> pa.Array:
    counts, reverse, only_out = _ways(view, attribute)
    return _compute.if_else(pa.array(only_out), counts, reverse.fill_null(0))


def _sided(view: View, attribute: Attribute) -> pa.Array:
    *both, own = attribute.columns
    at_source = view.side == _SOURCE
    mask = at_source if attribute.value == "source" else ~at_source
    text = only_where(view.text(own), mask)
    return coalesce_text(view.text(both[0]), text) if both else text


def _thousandth(view: View, attribute: Attribute) -> pa.Array:
    return _compute.divide(view.column(attribute.columns[0], LONG), 1000)


def _custom(view: View, attribute: Attribute) -> pa.Array:
    rules = {**RULES, **ToKentikEnricher.own_rules}
    texts = [(each.name, rules[each.rule](view, each)) for each in CUSTOM_TEXTS]
    return extended(view.column(attribute.columns[0], ATTRS), texts)


class ToKentikEnricher(ReshapeEnricher[ToKentikEnricherConfig]):
    """Makes records of KTranslate."""

    target = "ktranslate"
    table = KTRANSLATE
    own_rules: Mapping[str, Rule] = {
        "way_in": _way_in,
        "way_out": _way_out,
        "sided": _sided,
        "thousandth": _thousandth,
        "custom": _custom,
    }

    def parts(self) -> Sequence[str]:
        """Return the parts of the format."""
        return ["flat" if self.config.flat else "nested"]
