"""IP protocols that carry ports, and what to do with the ports of those that do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import raw_values

PROTOCOLS_WITH_PORTS: tuple[int, ...] = (6, 17, 33, 132, 136)
"""TCP, UDP, DCCP, SCTP, UDP-Lite (IANA, Assigned Internet Protocol Numbers)."""

_HAS_PORTS = np.zeros(256, dtype=bool)
_HAS_PORTS[list(PROTOCOLS_WITH_PORTS)] = True


def portless(protocol: pa.Array) -> pa.Array | None:
    """Mark the rows whose protocol has no ports; None if there is none.

    Args:
        protocol: integer array of 0 to 255. A null leaves the row alone.
    """
    numbers = raw_values(protocol).astype(np.uint8, copy=False)
    mask = ~_HAS_PORTS[numbers]
    if protocol.null_count:
        mask &= np.asarray(protocol.is_valid())
    return pa.array(mask) if mask.any() else None


def blank_ports(port: pa.Array, without: pa.Array | None) -> pa.Array:
    """Give the ports with null where the protocol has none.

    Logs disagree on what to print there (0, nothing), so joins would not meet.

    Args:
        port: integer array.
        without: what `portless` gave for the same rows.
    """
    return port if without is None else pc.if_else(without, pa.scalar(None, port.type), port)
