"""Writes small MaxMind DB files for tests (MaxMind DB File Format Specification, version 2.0)."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"


def write_mmdb(
    path: Path, kind: str, records: dict[str, Any], *, ip_version: int = 6, built: int = 1767225600
) -> Path:
    """Write a database of this type; `records` maps prefixes to what is known about them."""
    nodes: list[list[Any]] = [[None, None]]
    data = bytearray()
    for network in sorted(map(ipaddress.ip_network, records), key=lambda n: n.prefixlen):
        offset = len(data)
        data += encode(records[str(network)])
        insert(nodes, bits_of(network, ip_version), ("data", offset))
    tree = b"".join(
        struct.pack(">II", *(pointer(child, len(nodes)) for child in node)) for node in nodes
    )
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": built,
        "database_type": kind,
        "description": {"en": "made by a test"},
        "ip_version": ip_version,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": 32,
    }
    path.write_bytes(tree + bytes(16) + bytes(data) + MARKER + encode_metadata(metadata))
    return path


def bits_of(network: Any, ip_version: int) -> list[int]:
    """Return the path through the tree; IPv4 is below ::/96 of an IPv6 tree."""
    number, length = int(network.network_address), network.prefixlen
    width = 128 if ip_version == 6 else 32
    if network.version == 4 and ip_version == 6:
        length += 96
    return [number >> (width - 1 - i) & 1 for i in range(length)]


def insert(nodes: list[list[Any]], bits: list[int], leaf: tuple[str, int]) -> None:
    """Hang a leaf below its bits; a leaf on the way becomes a node with it on both sides."""
    at = 0
    for bit in bits[:-1]:
        child = nodes[at][bit]
        if not isinstance(child, int):
            nodes.append([child, child])
            nodes[at][bit] = child = len(nodes) - 1
        at = child
    nodes[at][bits[-1]] = leaf


def pointer(child: Any, count: int) -> int:
    """Return a record: another node, nothing, or data."""
    if child is None:
        return count
    return child if isinstance(child, int) else count + 16 + child[1]


WIDTHS = {"node_count": 6, "build_epoch": 9}
"""Types of integers in the metadata (uint32, uint64); all others are uint16."""


def encode(value: Any, integer: int = 6) -> bytes:
    """Encode a value in the data section's format; integers as the type of this number."""
    match value:
        case str():
            raw = value.encode()
            return control(2, len(raw)) + raw
        case float():
            return control(3, 8) + struct.pack(">d", value)
        case int():
            raw = value.to_bytes((value.bit_length() + 7) // 8)
            return control(integer, len(raw)) + raw
        case dict():
            return control(7, len(value)) + b"".join(
                encode(key) + encode(item) for key, item in value.items()
            )
        case list():
            return control(11, len(value)) + b"".join(map(encode, value))
    raise TypeError(value)


def encode_metadata(metadata: dict[str, Any]) -> bytes:
    """Encode the map at the file's end, whose integers have types of their own."""
    parts = (encode(key) + encode(item, WIDTHS.get(key, 5)) for key, item in metadata.items())
    return control(7, len(metadata)) + b"".join(parts)


def control(kind: int, size: int) -> bytes:
    """Return the control byte, with the extended type and size if necessary."""
    extra = b""
    if size >= 29:
        size, extra = 29, bytes([size - 29])
    if kind > 7:
        return bytes([size, kind - 7]) + extra
    return bytes([kind << 5 | size]) + extra
