"""What a snapshot holds: the holders of addresses at one time."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec


class Holder(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Something that has addresses: a network interface, a reserved address, a load balancer.

    Attributes:
        id: its identifier.
        addresses: all of its addresses, private and public; an IPv6 one may be a prefix.
        tags: its tags or labels.
    """

    id: str
    addresses: tuple[str, ...] = ()
    tags: dict[str, str | None] = {}


H = TypeVar("H", bound=Holder)


class Snapshot(msgspec.Struct, Generic[H], frozen=True):
    """All holders at one time. `version` is that of the file's form."""

    taken: datetime
    interfaces: list[H]
    version: int = 1


def save(snapshot: Snapshot[H], path: Path) -> Path:
    """Write a snapshot to a file, or under a name with its time into a folder; return the file."""
    if path.is_dir():
        path /= f"{snapshot.taken:%Y%m%dT%H%M%SZ}.json"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot), indent=1))
    temporary.replace(path)
    return path
