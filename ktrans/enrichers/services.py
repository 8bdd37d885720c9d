"""The `services` enricher: adds names of protocols and services, and which end is the server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig
from ktrans.flow.protocols import PROTOCOL_KEYWORDS, PROTOCOLS_WITH_PORTS
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import (
    MISSING,
    coded,
    numbers_or_null,
    plain_integers,
    require_integer,
    text_field,
)
from ktrans.kit.flow_rules import SIDES, port_claims, protocol_keywords

NO_PORT = 1 << 16
"""Stands for a port that is null or out of range."""

Output = Literal["protocol_name", "service", "server", "server_port"]
_DESCRIPTIONS: dict[Output, str] = {
    "protocol_name": "IANA keyword of the protocol, in lower case",
    "service": "IANA service name of the server's port",
    "server": "Which end is the server: src or dst; null if the ports do not tell",
    "server_port": "The server's port",
}
_VALUES: dict[Output, tuple[str, ...]] = {
    "protocol_name": tuple(PROTOCOL_KEYWORDS.values()),
    "server": SIDES,
}


class ServicesEnricherConfig(ComponentConfig, type="services"):
    """Adds the names of the protocol and of the service, and which end offers it.

    The server is the end whose port has a registered service name, if only one has; otherwise the
    end whose port is below 1024, if only one is; otherwise it is not known. If both ports are the
    same, the service is known and the server is not.
    """

    columns: dict[Output, str] = Field(
        default={name: name for name in _DESCRIPTIONS},
        min_length=1,
        description="Which outputs to add, and the name of the column for each.",
        examples=[{"protocol_name": "transport", "service": "application"}],
    )


class ServicesEnricher(ColumnEnricher[ServicesEnricherConfig]):
    """Adds names of protocols and services."""

    replaces = ()
    names_option = "columns"

    def reads(self) -> Sequence[str]:
        """Name the protocol and, unless only its name is wanted, the ports."""
        ports = () if set(self.config.columns) == {"protocol_name"} else ("src_port", "dst_port")
        return ["protocol", *ports]

    def columns(self) -> dict[str, pa.Field]:
        """Name the output columns."""
        fields = {
            column: text_field(column, _DESCRIPTIONS[output], _VALUES.get(output, ()))
            for output, column in self.config.columns.items()
        }
        if port := self.config.columns.get("server_port"):
            fields[port] = fields[port].with_type(pa.int32())
        return fields

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns and add the outputs.

        Raises:
            ConfigError: a column is missing, holds no integers, or exists already.
        """
        require_integer(schema, self.reads(), "services")
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Look names up by position in arrays of all protocols and all ports."""
        tables = _tables()
        protocol = _numbers(batch.column("protocol"), tables.protocol.size - 1)
        found: dict[str, pa.Array] = {
            "protocol_name": coded(tables.protocol.take(protocol), tables.protocols)
        }
        if set(self.config.columns) != {"protocol_name"}:
            found |= _ends(
                tables,
                tables.ports_of.take(protocol),
                _numbers(batch.column("src_port"), NO_PORT),
                _numbers(batch.column("dst_port"), NO_PORT),
            )
        return {column: found[output] for output, column in self.config.columns.items()}


class _Tables:
    """Codes by position; read-only after it is made.

    Attributes:
        protocols, services: the names.
        protocol: code of the protocol's name, by protocol number; 256 is null.
        ports_of: where a protocol's part of `port` begins, by protocol number.
        port: for each protocol with ports, and for those without last, one entry a port and one for
            null: the code of the service's name * 4 + its claim to be the server's port.
        no_ports: where that last part begins.
    """

    def __init__(self) -> None:
        keywords, claims = protocol_keywords(), port_claims()
        self.protocols = keywords.column("keyword").combine_chunks()
        self.protocol = np.full(257, MISSING, np.int32)
        self.protocol[keywords.column("protocol")] = np.arange(len(keywords))
        width, count = NO_PORT + 1, len(PROTOCOLS_WITH_PORTS)
        self.no_ports = count * width
        self.ports_of = np.full(257, self.no_ports, np.int32)
        self.ports_of[list(PROTOCOLS_WITH_PORTS)] = np.arange(count) * width
        service = claims.column("service").combine_chunks().dictionary_encode()
        self.services = service.dictionary
        self.port = np.full(self.no_ports + width, 4 * MISSING, np.int16)
        places = self.ports_of[claims.column("protocol")] + np.asarray(claims.column("port"))
        codes = np.asarray(service.indices.fill_null(MISSING))
        self.port[places] = 4 * codes + np.asarray(claims.column("claim"))


@cache
def _tables() -> _Tables:
    return _Tables()


def _numbers(array: pa.Array, null: int) -> np.ndarray:
    """Return an integer column as int32, with `null` for null and for all that is not below it."""
    if pa.types.is_null(array.type):
        return np.full(len(array), null, np.int32)
    if not array.null_count and array.type.bit_width <= 32:  # noqa: PLR2004 - the common case
        small = np.asarray(array.to_numpy()).astype(np.int32, copy=False)
        return np.minimum(small.view(np.uint32), np.uint32(null)).view(np.int32)
    numbers, _ = plain_integers(array)
    return np.minimum(numbers.view(np.uint64), np.uint64(null)).astype(np.int32)


def _ends(
    tables: _Tables, ports_of: np.ndarray, src: np.ndarray, dst: np.ndarray
) -> dict[str, pa.Array]:
    """Decide for each row which end is the server: the one whose port has the higher claim.

    Args:
        tables: the names.
        ports_of: where the part of `tables.port` for the flow's protocol begins.
        src: source ports, NO_PORT for null.
        dst: destination ports, NO_PORT for null.
    """
    src_entry = tables.port.take(ports_of + src)
    dst_entry = tables.port.take(ports_of + dst)
    lean = (dst_entry & 3).astype(np.int8) - (src_entry & 3).astype(np.int8)
    to_dst = lean > 0
    open_ = lean == 0
    known = ~open_ | ((src == dst) & (src != NO_PORT) & (ports_of != tables.no_ports))
    entry = np.where(to_dst, dst_entry, src_entry) >> 2
    return {
        "service": coded(np.where(known, entry, MISSING), tables.services),
        "server": coded(np.where(open_, MISSING, to_dst), pa.array(SIDES)),
        "server_port": numbers_or_null(np.where(to_dst, dst, src), known),
    }
