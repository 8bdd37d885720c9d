"""The `labels` enricher: classes of addresses, and whether a flow stays inside.

The ranges are those of IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and of
the multicast and unicast assignments of RFC 5771 and RFC 4291.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, Enricher
from ktrans.expressions.prefixes import PrefixIndex, parse_addresses, parse_prefix
from ktrans.kit.columns import (
    MISSING,
    add_fields,
    coded,
    distinct,
    option,
    rebuild,
    require_text,
    spread,
    text_field,
)

RANGES = {
    "0.0.0.0/0": "public",
    "0.0.0.0/8": "reserved",
    "0.0.0.0/32": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link_local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "255.255.255.255/32": "broadcast",
    "::/0": "reserved",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "64:ff9b::/96": "public",
    "2000::/3": "public",
    "2001::/23": "reserved",
    "2001:2::/48": "benchmarking",
    "2001:db8::/32": "documentation",
    "3fff::/20": "documentation",
    "fc00::/7": "unique_local",
    "fe80::/10": "link_local",
    "ff00::/8": "multicast",
}
CLASSES = tuple(sorted(set(RANGES.values())))
INSIDE = frozenset({"private", "shared", "unique_local", "link_local", "loopback"})
LOCAL_GROUPS = frozenset({"multicast", "broadcast"})
SCOPES = ("external", "inbound", "outbound", "internal")
"""Where a flow goes; the position is (source inside) * 2 + (destination inside)."""

Output = Literal["src_class", "dst_class", "flow_scope"]
_DESCRIPTIONS: dict[Output, str] = {
    "src_class": f"Class of the source address: {', '.join(CLASSES)}",
    "dst_class": "Class of the destination address, as in src_class",
    "flow_scope": f"Whether the ends are in the own networks: {', '.join(SCOPES)}",
}


class LabelsEnricherConfig(ComponentConfig):
    """Adds the class of each address, and whether the flow crosses the own network's edge.

    `flow_scope` is `internal` if both ends are inside, `outbound` if only the source is, `inbound`
    if only the destination is, `external` if neither is. Inside are the addresses of `networks`;
    multicast and broadcast destinations never leave, so they count as inside.
    """

    type: Literal["labels"] = Field(
        "labels", description="Which component this is.", examples=["labels"]
    )
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


class LabelsEnricher(Enricher[LabelsEnricherConfig]):
    """Classes of addresses, direction."""

    _schema: pa.Schema
    _classes: PrefixIndex
    _networks: PrefixIndex | None

    def needs(self) -> Sequence[str]:
        """Name the two address columns."""
        return [self.config.source, self.config.destination]

    def adds(self) -> Sequence[str]:
        """Name the output columns."""
        return list(self.config.columns.values())

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the address columns and add the outputs.

        Raises:
            ConfigError: a column is missing, is not text, or exists already.
        """
        require_text(schema, self.needs(), "labels")
        fields = [
            text_field(column, _DESCRIPTIONS[output])
            for output, column in self.config.columns.items()
        ]
        self._classes = PrefixIndex([parse_prefix(text) for text in RANGES])
        own = self.config.networks
        self._networks = None if own is None else PrefixIndex([parse_prefix(text) for text in own])
        with option("columns"):
            self._schema = add_fields(schema, fields, "labels")
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Classify the distinct addresses of both ends."""
        src_class, src_inside = self._side(batch.column(self.config.source), destination=False)
        dst_class, dst_inside = self._side(batch.column(self.config.destination), destination=True)
        scope = src_inside * 2 + dst_inside
        scope[(src_inside < 0) | (dst_inside < 0)] = MISSING
        results = {
            "src_class": (src_class, CLASSES),
            "dst_class": (dst_class, CLASSES),
            "flow_scope": (scope, SCOPES),
        }
        new = {
            column: coded(results[output][0], pa.array(results[output][1]))
            for output, column in self.config.columns.items()
        }
        return rebuild(batch, self._schema, new)

    def _side(self, addresses: pa.Array, *, destination: bool) -> tuple[np.ndarray, np.ndarray]:
        """Give for each row the class's code, and 1 for inside, 0 for outside, MISSING for null."""
        values, indices = distinct(addresses)
        parsed = parse_addresses(values)
        found = self._classes.lookup(parsed)  # every address is in a range, so -1 is no address
        classes = np.append(_CLASS_OF_RANGE, MISSING)[found]
        if self._networks is None:
            inside = np.isin(classes, _codes(INSIDE))
        else:
            inside = self._networks.lookup(parsed) >= 0
        if destination:
            inside |= np.isin(classes, _codes(LOCAL_GROUPS))
        flag = np.where(classes < 0, MISSING, inside.astype(np.int32))
        return spread(classes, indices), spread(flag, indices)


def _codes(names: frozenset[str]) -> np.ndarray:
    return np.array([CLASSES.index(name) for name in names], np.int32)


_CLASS_OF_RANGE = np.array([CLASSES.index(name) for name in RANGES.values()], np.int32)
