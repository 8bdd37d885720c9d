"""A synthetic network: accounts, hosts with their addresses, and addresses outside.

All addresses are private, for documentation (RFC 5737, RFC 3849) or for tests (198.18.0.0/15,
RFC 2544), so no record is about a real network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

REGIONS = ("eu-central-1", "us-east-1", "ap-southeast-2")
ZONES = ("euc1-az1", "use1-az4", "apse2-az3")
ACCOUNTS = ("111122223333", "444455556666", "123456789012", "012345678901")
REMOTES = 20_000
"""Distinct addresses outside; a 4 MB block of AWS lines has some 5,000 of them."""

_IN_AWS = 0.2
SERVICES = ("-", "S3", "DYNAMODB", "EC2", "AMAZON")


@dataclass(frozen=True, slots=True)
class World:
    """Texts by host and by remote address.

    Attributes:
        accounts: account of each host.
        account_names: the distinct accounts.
        regions, zones, vpcs, subnets, interfaces, instances: of each host.
        host_v4, host_v6: addresses of the hosts.
        remote_v4, remote_v6: addresses outside.
        remote_service: index into SERVICES, one an address outside.
    """

    account_names: tuple[str, ...]
    accounts: pa.Array
    regions: pa.Array
    zones: pa.Array
    vpcs: pa.Array
    subnets: pa.Array
    interfaces: pa.Array
    instances: pa.Array
    host_v4: pa.Array
    host_v6: pa.Array
    remote_v4: pa.Array
    remote_v6: pa.Array
    remote_service: np.ndarray

    @property
    def hosts(self) -> int:
        """The number of hosts."""
        return len(self.host_v4)


def _id(prefix: str, rng: np.random.Generator) -> str:
    return f"{prefix}-0{int(rng.integers(0, 1 << 62)):016x}"


@lru_cache(maxsize=4)
def make_world(seed: int, accounts: int, hosts: int) -> World:
    """Generate a network; the same arguments always give the same one.

    Args:
        seed: any number.
        accounts: the number of accounts of the hosts.
        hosts: the number of interfaces that log.
    """
    rng = np.random.default_rng([seed, 0x0A1D])
    more = rng.integers(200_000_000_000, 900_000_000_000, max(0, accounts - len(ACCOUNTS)))
    names = (*ACCOUNTS[:accounts], *(str(number) for number in more.tolist()))
    index = np.arange(hosts)
    account = index % accounts
    vpcs = [_id("vpc", rng) for _ in range(accounts)]
    subnet = (index // accounts) % 3
    subnets = [[_id("subnet", rng) for _ in range(3)] for _ in range(accounts)]
    place = account % len(REGIONS)
    number = index // (3 * accounts)

    def texts(values: list[str]) -> pa.Array:
        return pa.array(values, pa.string())

    remote = np.arange(REMOTES)
    octets = ((remote + 1) * 2_654_435_761) % 131_072
    return World(
        account_names=names,
        accounts=texts([names[i] for i in account]),
        regions=texts([REGIONS[i] for i in place]),
        zones=texts([ZONES[i] for i in place]),
        vpcs=texts([vpcs[i] for i in account]),
        subnets=texts([subnets[a][s] for a, s in zip(account, subnet, strict=True)]),
        interfaces=texts([_id("eni", rng) for _ in index]),
        instances=texts([_id("i", rng) if i % 7 else "-" for i in index]),
        host_v4=texts(
            [
                f"10.{a % 200}.{s * 16 + (n // 240) % 16}.{10 + n % 240}"
                for a, s, n in zip(account, subnet, number, strict=True)
            ]
        ),
        host_v6=texts(
            [
                f"2001:db8:{a + 1:x}:{s + 1:x}::{n + 16:x}"
                for a, s, n in zip(account, subnet, number, strict=True)
            ]
        ),
        remote_v4=texts(
            [f"198.{18 + (o >> 16)}.{(o >> 8) & 255}.{o & 255}" for o in octets.tolist()]
        ),
        remote_v6=texts(
            [
                f"2001:db8:f{o >> 12:x}:{(o & 4095) + 1:x}::{(o * 7) % 65521 + 1:x}"
                for o in octets.tolist()
            ]
        ),
        remote_service=np.where(rng.random(REMOTES) < _IN_AWS, rng.integers(1, 5, REMOTES), 0),
    )
