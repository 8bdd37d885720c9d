"""Draws random traffic on a network: heavy-tailed, mostly TCP, some of it refused."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ktrans_generate.columns import Codes, Ints
from ktrans_generate.world import World

# Port, protocol number of IANA, and how common it is.
_SERVICES = np.array(
    [
        (443, 6, 46),
        (80, 6, 10),
        (53, 17, 12),
        (22, 6, 3),
        (5432, 6, 6),
        (6379, 6, 4),
        (3306, 6, 4),
        (8080, 6, 5),
        (123, 17, 3),
        (9092, 6, 3),
        (443, 17, 4),
    ]
)
_PORTS, _PROTOCOLS = _SERVICES[:, 0], _SERVICES[:, 1]
_SHARES = np.cumsum(_SERVICES[:, 2]) / _SERVICES[:, 2].sum()
_FLAGS = np.array([0, 2, 3, 18, 19, 1, 4], np.int64)
_EPHEMERAL = (32_768, 60_999)  # Linux: net.ipv4.ip_local_port_range
_ICMP, _ICMP6, _TCP = 1, 58, 6
_EVEN = 0.5
_SKIPPED = 0.1
_MANY = 40
"""How many other hosts a host talks to, so that pairs repeat."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of kinds of rows, from 0 to 1."""

    ipv6: float = 0.05
    icmp: float = 0.02
    reject: float = 0.08
    nodata: float = 0.0
    internal: float = 0.3


@dataclass(frozen=True, slots=True)
class Flows:
    """Rows by column, all of one length. Every attribute but `world` is an array.

    Attributes:
        world: the network.
        host: index of the host whose interface logs the row.
        peer: index of the host at the other side if `internal`, else of the remote address.
        internal: whether the other side is a host too.
        egress: whether the row leaves the host.
        v6: whether it is IPv6.
        src_port, dst_port, protocol, packets, octets, flags: of the row; 0 where there is none.
        start, end: Unix seconds.
        reject: whether it was refused.
        status: 0 OK, 1 NODATA, 2 SKIPDATA.
    """

    world: World
    host: Codes
    peer: Codes
    internal: npt.NDArray[np.bool_]
    egress: npt.NDArray[np.bool_]
    v6: npt.NDArray[np.bool_]
    src_port: Ints
    dst_port: Ints
    protocol: Ints
    packets: Ints
    octets: Ints
    flags: Ints
    start: Ints
    end: Ints
    reject: npt.NDArray[np.bool_]
    status: Ints

    def __len__(self) -> int:
        return len(self.host)

    def pick(self, mask: npt.NDArray[np.bool_]) -> Flows:
        """Return the rows where the mask is true."""
        kept: dict[str, Any] = {f.name: getattr(self, f.name)[mask] for f in fields(self)[1:]}
        return Flows(self.world, **kept)


def draw(
    rng: np.random.Generator,
    world: World,
    mix: Mix,
    rows: int,
    *,
    begin: float,
    seconds: float,
    block: int = 1,
) -> Flows:
    """Draw rows.

    Args:
        rng: the random numbers.
        world: the network.
        mix: shares of the kinds of rows.
        rows: how many.
        begin: Unix seconds at which the first row starts.
        seconds: how far the starts are spread, in rising order.
        block: how many consecutive rows come from one host.
    """
    uniform = rng.random((6, rows))
    blocks = -(-rows // block)
    host = np.repeat((world.hosts * rng.random(blocks) ** 1.5).astype(np.int32), block)[:rows]
    internal = uniform[0] < mix.internal
    nearby = (host + 1 + rng.integers(0, min(_MANY, world.hosts), rows)) % world.hosts
    # Zipf's law: the k-th address is 1/k times as frequent as the first.
    outside = (len(world.remote_v4) ** uniform[1]).astype(np.int32) - 1
    v6 = uniform[2] < mix.ipv6
    kind = np.searchsorted(_SHARES, uniform[3])
    protocol = _PROTOCOLS[kind]
    service = _PORTS[kind]
    client = rng.integers(*_EPHEMERAL, rows, endpoint=True)
    reject = uniform[4] < mix.reject
    service = np.where(reject, rng.integers(1, 65_536, rows), service)
    egress = (uniform[5] < _EVEN) & ~reject
    # Half of the flows, and all refused ones, were begun by the other side.
    serves = (rng.random(rows) < _EVEN) | reject
    to_service = serves ^ egress
    packets = np.minimum(1 + (rng.pareto(1.1, rows) * 3).astype(np.int64), 40_000_000)
    packets = np.where(reject, 1 + packets % 3, packets)
    octets = packets * np.where(reject, 40, 40 + (1460 * rng.random(rows) ** 2).astype(np.int64))
    icmp = rng.random(rows) < mix.icmp
    protocol = np.where(icmp, np.where(v6, _ICMP6, _ICMP), protocol)
    flags = np.where(reject, 2, _FLAGS[(len(_FLAGS) * rng.random(rows) ** 2).astype(np.int64)])
    start = (begin + np.sort(rng.random(rows)) * seconds).astype(np.int64)
    nodata = rng.random(rows) < mix.nodata
    return Flows(
        world=world,
        host=host,
        peer=np.where(internal, nearby, outside).astype(np.int32),
        internal=internal,
        egress=egress,
        v6=v6,
        src_port=np.where(icmp, 0, np.where(to_service, client, service)),
        dst_port=np.where(icmp, 0, np.where(to_service, service, client)),
        protocol=protocol,
        packets=packets,
        octets=octets,
        flags=np.where(protocol == _TCP, flags, 0),
        start=start,
        end=start + rng.integers(1, 60, rows),
        reject=reject,
        status=np.where(nodata, np.where(rng.random(rows) < _SKIPPED, 2, 1), 0),
    )
