"""The `services` enricher: names protocols and services, and says which end is the server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, Enricher
from ktrans.enrichers.tables.iana import PROTOCOL_KEYWORDS, TRANSPORTS, services
from ktrans.kit.columns import (
    MISSING,
    add_fields,
    coded,
    numbers_or_null,
    option,
    plain_integers,
    rebuild,
    require_integer,
    text_field,
)

NO_PORT = 1 << 16
"""Stands for a port that is null or out of range."""

SYSTEM_PORTS = 1024
"""Ports below are IANA's system ports: what listens there is a server (RFC 6335, section 6)."""

UDP_LITE = 136
"""UDP-Lite has the ports of UDP (RFC 3828, section 3.3)."""

_NAMELESS, _NAMED, _SYSTEM = -4, 2, 1
"""An entry without a name, and what makes up a claim: a name, then a system port."""

SIDES = ("src", "dst")
Output = Literal["protocol_name", "service", "server", "server_port"]
_DESCRIPTIONS: dict[Output, str] = {
    "protocol_name": "IANA keyword of the protocol, in lower case",
    "service": "IANA service name of the server's port",
    "server": "Which end is the server: src or dst; null if the ports do not tell",
    "server_port": "The server's port",
}


class ServicesEnricherConfig(ComponentConfig):
    """Adds the names of the protocol and of the service, and which end offers it.

    The server is the end whose port has a registered service name, if only one has; otherwise the
    end whose port is below 1024, if only one is; otherwise it is not known. If both ports are the
    same, the service is known and the server is not.
    """

    type: Literal["services"] = Field(
        "services", description="Which component this is.", examples=["services"]
    )
    columns: dict[Output, str] = Field(
        default={name: name for name in _DESCRIPTIONS},
        min_length=1,
        description="Which outputs to add, and the name of the column for each.",
        examples=[{"protocol_name": "transport", "service": "application"}],
    )


class ServicesEnricher(Enricher[ServicesEnricherConfig]):
    """Names protocols and services."""

    _schema: pa.Schema

    def needs(self) -> Sequence[str]:
        """Name the protocol and, unless only its name is wanted, the ports."""
        ports = () if set(self.config.columns) == {"protocol_name"} else ("src_port", "dst_port")
        return ["protocol", *ports]

    def adds(self) -> Sequence[str]:
        """Name the output columns."""
        return list(self.config.columns.values())

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns and add the outputs.

        Raises:
            ConfigError: a column is missing, holds no integers, or exists already.
        """
        require_integer(schema, self.needs(), "services")
        fields = [
            pa.field(column, pa.int32(), metadata={"description": _DESCRIPTIONS[output]})
            if output == "server_port"
            else text_field(column, _DESCRIPTIONS[output])
            for output, column in self.config.columns.items()
        ]
        with option("columns"):
            self._schema = add_fields(schema, fields, "services")
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Look names up by position in arrays of all protocols and all ports."""
        tables = _tables()
        protocol = _numbers(batch.column("protocol"), tables.protocol.size - 1)
        found: dict[str, pa.Array] = {
            "protocol_name": coded(tables.protocol.take(protocol), tables.protocols)
        }
        if set(self.config.columns) != {"protocol_name"}:
            found |= _ends(
                tables,
                tables.transport.take(protocol),
                _numbers(batch.column("src_port"), NO_PORT),
                _numbers(batch.column("dst_port"), NO_PORT),
            )
        new = {column: found[output] for output, column in self.config.columns.items()}
        return rebuild(batch, self._schema, new)


class _Tables:
    """Codes by position; read-only after it is made.

    Attributes:
        protocols, services: the names.
        protocol: code of the protocol's name, by protocol number; 256 is null.
        transport: where a protocol's part of `port` begins, by protocol number.
        port: for each transport, and for "no transport" last, one entry a port and one for null:
            the code of the service's name * 4 + its claim to be the server's port.
        no_transport: where that last part begins.
    """

    def __init__(self) -> None:
        self.protocols = pa.array(list(PROTOCOL_KEYWORDS.values()))
        self.protocol = np.full(257, MISSING, np.int32)
        self.protocol[list(PROTOCOL_KEYWORDS)] = np.arange(len(PROTOCOL_KEYWORDS))
        width = NO_PORT + 1
        self.no_transport = len(TRANSPORTS) * width
        self.transport = np.full(257, self.no_transport, np.int32)
        self.transport[[number for number, _ in TRANSPORTS]] = np.arange(len(TRANSPORTS)) * width
        self.transport[UDP_LITE] = self.transport[17]
        known = services()
        names = sorted(set(known.values()))
        code = {name: i for i, name in enumerate(names)}
        self.services = pa.array(names)
        table = np.full((len(TRANSPORTS) + 1, width), _NAMELESS, np.int16)
        table[:-1, :SYSTEM_PORTS] += _SYSTEM
        row = {name: i for i, (_, name) in enumerate(TRANSPORTS)}
        for (transport, port), name in known.items():
            table[row[transport], port] += 4 * (code[name] + 1) + _NAMED
        self.port = table.reshape(-1)


@cache
def _tables() -> _Tables:
    return _Tables()


def _numbers(array: pa.Array, null: int) -> np.ndarray:
    """Give an integer column as int32, with `null` for null and whatever is not below it."""
    if pa.types.is_null(array.type):
        return np.full(len(array), null, np.int32)
    if not array.null_count and array.type.bit_width <= 32:  # noqa: PLR2004 - the common case
        small = np.asarray(array.to_numpy()).astype(np.int32, copy=False)
        return np.minimum(small.view(np.uint32), np.uint32(null)).view(np.int32)
    numbers, _ = plain_integers(array)
    return np.minimum(numbers.view(np.uint64), np.uint64(null)).astype(np.int32)


def _ends(
    tables: _Tables, transport: np.ndarray, src: np.ndarray, dst: np.ndarray
) -> dict[str, pa.Array]:
    """Decide for each row which end is the server: the one whose port has the higher claim.

    Args:
        tables: the names.
        transport: where the flow's part of `tables.port` begins.
        src: source ports, NO_PORT for null.
        dst: destination ports, NO_PORT for null.
    """
    src_entry = tables.port.take(transport + src)
    dst_entry = tables.port.take(transport + dst)
    lean = (dst_entry & 3).astype(np.int8) - (src_entry & 3).astype(np.int8)
    to_dst = lean > 0
    open_ = lean == 0
    known = ~open_ | ((src == dst) & (src != NO_PORT) & (transport != tables.no_transport))
    entry = np.where(to_dst, dst_entry, src_entry) >> 2
    return {
        "service": coded(np.where(known, entry, MISSING), tables.services),
        "server": coded(np.where(open_, MISSING, to_dst), pa.array(SIDES)),
        "server_port": numbers_or_null(np.where(to_dst, dst, src), known),
    }
