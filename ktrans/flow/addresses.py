"""IP addresses as text: what is one, and its canonical form.

Everything here works on the distinct values of a column, so a block of rows costs what its few
different addresses cost.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from socket import AF_INET6, inet_ntop, inet_pton

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NOWHERE = np.empty(0, dtype=np.intp)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4_REGEX = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"
"""Four octets of 0 to 255 without leading zeros: the only form that all systems read alike."""


def pack_ipv6(text: str | None) -> bytes | None:
    """Return the 16 bytes of an IPv6 address, or None if the text is not one."""
    try:
        return None if text is None or "%" in text else inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None


def packed_ipv6(texts: Sequence[str | None]) -> list[bytes | None]:
    """Return the 16 bytes of each IPv6 address, or None for each other text."""
    try:  # a call for each that C answers; most columns hold nothing but addresses
        packed: list[bytes | None] = [inet_pton(AF_INET6, text) for text in texts]  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError):
        packed = [pack_ipv6(text) for text in texts]
    return packed


def canonical_ipv6(text: str) -> str | None:
    """Return the RFC 5952 form of an IPv6 address, or None for other texts.

    IPv4-mapped addresses keep their dotted part (RFC 5952, section 5); zone ids are not accepted,
    since they mean nothing outside the machine that wrote them.
    """
    packed = pack_ipv6(text)
    if packed is None:
        return None
    canonical = inet_ntop(AF_INET6, packed)
    if "." in canonical and not canonical.startswith("::ffff:"):
        return str(ipaddress.IPv6Address(text))  # "::1.2.3.4", a form that RFC 4291 deprecates
    return canonical


def _all_canonical(texts: Sequence[str]) -> Sequence[str | None]:
    """Return the canonical form of each IPv6 address, or None for each other text."""
    try:
        canonical = [inet_ntop(AF_INET6, inet_pton(AF_INET6, text)) for text in texts]
    except (OSError, ValueError):
        canonical = ["."]
    return list(map(canonical_ipv6, texts)) if "." in "".join(canonical) else canonical


def canonical_addresses(values: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    """Check distinct addresses and bring them to their canonical form.

    Args:
        values: string array; nulls are allowed.

    Returns:
        The canonical values (the same array if nothing had to change; null where invalid), and a
        boolean array that is True for values that are not an address, or None if there are none.
    """
    is_ipv4 = pc.match_substring_regex(values, IPV4_REGEX)
    others = np.flatnonzero(~np.asarray(is_ipv4.fill_null(True)))
    if not len(others):
        return values, None
    given = values.take(pa.array(others)).to_pylist()
    canonical = _all_canonical(given)
    bad = np.array([text is None for text in canonical])
    invalid = None
    if bad.any():
        invalid = np.zeros(len(values), dtype=bool)
        invalid[others[bad]] = True
    if canonical == given:
        return values, invalid
    texts = values.to_pylist()
    for place, text in zip(others.tolist(), canonical, strict=True):
        texts[place] = text
    return pa.array(texts, pa.string()), invalid


def address_versions(values: pa.Array) -> np.ndarray:
    """Return 4 or 6 (int8) for each canonical address; undefined for null."""
    versions = np.full(len(values), 4, dtype=np.int8)
    versions[with_colon(values)] = 6
    return versions


def with_colon(texts: pa.Array) -> np.ndarray:
    """Return the positions of the texts that contain a colon, in order; undefined for null.

    Args:
        texts: a utf8 array.
    """
    _, starts, data = texts.buffers()
    if starts is None or data is None:
        return _NOWHERE
    offsets = np.frombuffer(starts, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    places = np.flatnonzero(content == ord(":")) + offsets[0]
    if not len(places):
        return _NOWHERE
    rows = np.searchsorted(offsets, places, side="right") - 1
    found: np.ndarray = rows[np.append(True, rows[1:] != rows[:-1])]
    return found


def ip_versions(column: pa.DictionaryArray) -> pa.Array:
    """Return the IP version of each row's address as int8; null where there is no address."""
    per_value = address_versions(column.dictionary)
    if len(per_value) and (per_value == per_value[0]).all():
        rows = np.full(len(column), per_value[0], dtype=np.int8)
    elif len(per_value):
        rows = per_value[np.asarray(column.indices.fill_null(0))]
    else:
        rows = np.zeros(len(column), dtype=np.int8)
    if column.null_count == 0:
        return pa.array(rows)
    return pa.array(rows, mask=np.asarray(column.is_null()))
