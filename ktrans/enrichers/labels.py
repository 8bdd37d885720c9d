"""The `labels` enricher: adds classes of addresses, and whether a flow stays inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig
from ktrans.expressions.prefixes import PrefixIndex, parse_addresses, parse_prefix
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import MISSING, coded, distinct, require_text, spread, text_field
from ktrans.kit.flow_rules import (
    ADDRESS_CLASSES,
    INSIDE,
    LOCAL_GROUPS,
    SCOPES,
    address_classes,
    is_class,
)

Output = Literal["src_class", "dst_class", "flow_scope"]
_DESCRIPTIONS: dict[Output, str] = {
    "src_class": f"Class of the source address: {', '.join(ADDRESS_CLASSES)}",
    "dst_class": "Class of the destination address, as in src_class",
    "flow_scope": f"Whether the ends are in the own networks: {', '.join(SCOPES)}",
}
_VALUES: dict[Output, tuple[str, ...]] = {
    "src_class": ADDRESS_CLASSES,
    "dst_class": ADDRESS_CLASSES,
    "flow_scope": SCOPES,
}


class LabelsEnricherConfig(ComponentConfig, type="labels"):
    """Adds the class of each address, and whether the flow crosses the own network's edge.

    `flow_scope` is `internal` if both ends are inside, `outbound` if only the source is, `inbound`
    if only the destination is, `external` if neither is. Inside are the addresses of `networks`;
    multicast and broadcast destinations never leave, so they count as inside.
    """

    networks: list[str] | None = Field(
        None,
        description=(
            "Your own networks, as prefixes. By default every private, shared, unique local, "
            "link-local and loopback address is taken as your own."
        ),
        examples=[["10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32"]],
    )
    source: str = Field(
        "src_addr", description="Column of the source address.", examples=["src_pkt_addr"]
    )
    destination: str = Field(
        "dst_addr", description="Column of the destination address.", examples=["dst_pkt_addr"]
    )
    columns: dict[Output, str] = Field(
        default={"src_class": "src_class", "dst_class": "dst_class", "flow_scope": "flow_scope"},
        min_length=1,
        description="Which outputs to add, and the name of the column for each.",
        examples=[{"flow_scope": "scope"}],
    )

    @field_validator("networks")
    @classmethod
    def _are_prefixes(cls, value: list[str] | None) -> list[str] | None:
        for text in value or ():
            parse_prefix(text)
        return value


class LabelsEnricher(ColumnEnricher[LabelsEnricherConfig]):
    """Adds classes of addresses, and scopes of flows."""

    replaces = ()
    names_option = "columns"
    _networks: PrefixIndex | None = None

    def reads(self) -> Sequence[str]:
        """Name the two address columns."""
        return [self.config.source, self.config.destination]

    def columns(self) -> dict[str, pa.Field]:
        """Name the output columns."""
        return {
            column: text_field(column, _DESCRIPTIONS[output], _VALUES[output])
            for output, column in self.config.columns.items()
        }

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the address columns and add the outputs."""
        require_text(schema, self.reads(), "labels")
        if self.config.networks is not None:
            self._networks = PrefixIndex([parse_prefix(text) for text in self.config.networks])
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Classify the distinct addresses of both ends."""
        src_class, src_inside = self._side(batch.column(self.config.source), destination=False)
        dst_class, dst_inside = self._side(batch.column(self.config.destination), destination=True)
        scope = src_inside * 2 + dst_inside
        scope[(src_inside < 0) | (dst_inside < 0)] = MISSING
        results = {
            "src_class": (src_class, ADDRESS_CLASSES),
            "dst_class": (dst_class, ADDRESS_CLASSES),
            "flow_scope": (scope, SCOPES),
        }
        return {
            column: coded(results[output][0], pa.array(results[output][1]))
            for output, column in self.config.columns.items()
        }

    def _side(self, addresses: pa.Array, *, destination: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return each row's class, and 1 for inside, 0 for outside, MISSING for null."""
        values, indices = distinct(addresses)
        parsed = parse_addresses(values)
        classes = address_classes(parsed)
        if self._networks is None:
            inside = is_class(classes, INSIDE)
        else:
            inside = self._networks.lookup(parsed) >= 0
        if destination:
            inside |= is_class(classes, LOCAL_GROUPS)
        flag = np.where(classes < 0, MISSING, inside.astype(np.int32))
        return spread(classes, indices), spread(flag, indices)
