"""IP addresses by columns: strict parsing into numbers, and longest-prefix match.

Used by `in_cidr` and by the enrichers that look addresses up. IPv4 addresses inside IPv6
(`::ffff:10.0.0.1`) count as the IPv4 address that they are.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.addresses import packed_ipv6, with_colon

_DOTTED = r"\A[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\z"
_NONE = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_BYTES = np.frombuffer(_MAPPED, np.uint8)
_DOT = np.uint8((ord(".") - 48) % 256)
_BITS = {4: 32, 6: 128}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Parsed addresses, one an element of the text array.

    Attributes:
        family: uint8; 4, 6, or 0 for null and for text that is not an address.
        v4: uint32 in host order; 0 where the family is not 4.
        v6: 16 bytes in network order (numpy `S16`, which sorts as the numbers do); None if there
            is no IPv6 address at all.
    """

    family: np.ndarray
    v4: np.ndarray
    v6: np.ndarray | None


def parse_addresses(texts: pa.Array) -> Addresses:
    """Parse texts strictly: four decimal octets without leading zeros, or RFC 4291 text.

    Args:
        texts: a string array; distinct values, since IPv6 is read one value at a time.
    """
    count = len(texts)
    colons = with_colon(texts)
    likely = np.ones(count, bool)
    likely[colons] = False
    if texts.null_count:
        likely &= texts.is_valid().to_numpy(zero_copy_only=False)
    numbers = _dotted(texts if likely.all() else texts.filter(pa.array(likely)))
    if numbers is None:
        shaped = pc.fill_null(pc.match_substring_regex(texts, _DOTTED), fill_value=False)
        likely = shaped.to_numpy(zero_copy_only=False)
        numbers = _dotted(texts.filter(shaped))
    family = np.zeros(count, np.uint8)
    v4 = np.zeros(count, np.uint32)
    if numbers is not None:
        where = np.flatnonzero(likely)[numbers[1]]
        family[where] = 4
        v4[where] = numbers[0][numbers[1]]
    return Addresses(family, v4, _parse_v6(texts, colons, family, v4))


def _dotted(texts: pa.Array) -> tuple[np.ndarray, np.ndarray] | None:
    """Read all texts as four decimal numbers each, from their bytes at once.

    Returns:
        The addresses as uint32 (0 where bad), and which are good: four octets up to 255 without
        leading zeros. None if any text holds anything but digits and three dots.
    """
    count = len(texts)
    if not count:
        return None
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + count + 1]
    digits = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: offsets[-1]] - np.uint8(48)
    dots = np.flatnonzero(digits[offsets[0] :] == _DOT).astype(np.int32)
    decimal = np.count_nonzero(digits[offsets[0] :] < 10)  # noqa: PLR2004 - what is a digit
    if len(dots) != 3 * count or decimal + len(dots) != len(digits) - offsets[0]:
        return None
    ends = np.empty((4, count), np.int32)
    ends[:3] = dots.reshape(-1, 3).T + offsets[0]
    ends[3] = offsets[1:]
    starts = np.empty_like(ends)
    starts[0] = offsets[:-1]
    starts[1:] = ends[:3] + 1
    if (ends[0] < starts[0]).any() or (starts[3] > ends[3]).any():
        return None  # the dots are not three in each text
    length = ends - starts
    two, three = length > 1, length > 2  # noqa: PLR2004 - how many digits
    # Reading before an octet's start gives a digit that does not count; -1 wraps to the very end.
    octet = digits.take(ends - 1, mode="wrap").astype(np.uint16)
    octet += digits.take(ends - 2, mode="wrap") * two * np.uint16(10)
    octet += digits.take(ends - 3, mode="wrap") * three * np.uint16(100)
    leading_zero = two & (digits.take(starts, mode="clip") == 0)
    bad = leading_zero | (octet > 255) | (length > 3) | (length < 1)  # noqa: PLR2004
    good = ~(bad[0] | bad[1] | bad[2] | bad[3])
    wide = octet.astype(np.uint32)
    number = (wide[0] << 24) | (wide[1] << 16) | (wide[2] << 8) | wide[3]
    return np.where(good, number, np.uint32(0)), good


def _parse_v6(
    texts: pa.Array, colons: np.ndarray, family: np.ndarray, v4: np.ndarray
) -> np.ndarray | None:
    if not colons.size:
        return None
    v6 = np.zeros(len(texts), "S16")
    given = texts.take(pa.array(colons)).to_pylist()
    packed = packed_ipv6(given)
    good = np.array([one is not None for one in packed])
    raw = np.frombuffer(b"".join([one or _NONE for one in packed]), np.uint8).reshape(-1, 16)
    mapped = good & (raw[:, :12] == _MAPPED_BYTES).all(axis=1)
    family[colons] = np.where(mapped, 4, np.where(good, 6, 0))
    v4[colons[mapped]] = raw[mapped, 12:].copy().view(">u4").ravel()
    wide = good & ~mapped
    v6[colons[wide]] = raw[wide].view("S16").ravel()
    return v6


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network: its family (4 or 6), its first address as a number, and its length in bits."""

    family: int
    first: int
    length: int

    @property
    def last(self) -> int:
        """Its last address as a number."""
        return self.first | ((1 << (_BITS[self.family] - self.length)) - 1)

    def holds(self, other: Prefix) -> bool:
        """Return whether all addresses of another one are its own too."""
        return self.family == other.family and self.first <= other.first and other.last <= self.last


def parse_prefix(text: str, *, exact: bool = True) -> Prefix:
    """Read `10.0.0.0/8`, `2001:db8::/32`, or a single address.

    Args:
        text: the prefix.
        exact: refuse bits that are set beyond the length; otherwise they are cleared.

    Raises:
        ValueError: it is not a prefix, or has bits set beyond its length.
    """
    address, slash, bits = text.strip().partition("/")
    family = 6 if ":" in address else 4
    try:
        packed = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, address)  # noqa: PLR2004
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an address or prefix") from None
    length = _BITS[family]
    if slash:
        if not (bits.isascii() and bits.isdigit() and int(bits) <= length):
            raise ValueError(f"{text!r} has no length between 0 and {length} after the slash")
        length = int(bits)
    if packed.startswith(_MAPPED) and length >= 96:  # noqa: PLR2004 - the mapped prefix's length
        family, packed, length = 4, packed[12:], length - 96
    first = int.from_bytes(packed)
    host = (1 << (_BITS[family] - length)) - 1
    if not exact:
        first &= ~host
    if first & host:
        net = (first & ~host).to_bytes(len(packed))
        name = socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, net)  # noqa: PLR2004
        raise ValueError(f"{text!r} has bits set after its length; did you mean {name}/{length}?")
    return Prefix(family, first, length)


class PrefixIndex:
    """Longest-prefix match over many prefixes, by one binary search an address.

    Prefixes nest or are apart, so they cut the address space into disjoint intervals, each of which
    belongs to the longest prefix around it.
    """

    def __init__(self, prefixes: Sequence[Prefix]) -> None:
        starts, self._rows4 = _flatten(prefixes, 4)
        self._starts4 = np.array(starts, np.uint32)
        starts, self._rows6 = _flatten(prefixes, 6)
        packed = b"".join(start.to_bytes(16) for start in starts)
        self._starts6 = np.frombuffer(packed, "S16")

    def lookup(self, addresses: Addresses) -> np.ndarray:
        """Return for each address the position of its longest prefix as int32, or -1."""
        at = np.searchsorted(self._starts4, addresses.v4, side="right") - 1
        found = self._rows4[at]
        if addresses.v6 is not None:
            at = np.searchsorted(self._starts6, addresses.v6, side="right") - 1
            found = np.where(addresses.family == 6, self._rows6[at], found)  # noqa: PLR2004
        return np.where(addresses.family == 0, np.int32(-1), found)


def _flatten(prefixes: Iterable[Prefix], family: int) -> tuple[list[int], np.ndarray]:
    """Cut one family's address space into intervals: their starts, and their prefixes (int32)."""
    highest = (1 << _BITS[family]) - 1
    ordered = sorted(
        (prefix.first, prefix.length, row, prefix.last)
        for row, prefix in enumerate(prefixes)
        if prefix.family == family
    )
    cuts: dict[int, int] = {0: -1}
    open_: list[tuple[int, int]] = []  # last address and row of the prefixes around this one

    def close(until: int) -> None:
        while open_ and open_[-1][0] < until:
            last, _ = open_.pop()
            if last < highest:
                cuts[last + 1] = open_[-1][1] if open_ else -1

    for first, _, row, last in ordered:
        close(first)
        cuts[first] = row
        open_.append((last, row))
    close(highest + 1)
    starts = sorted(cuts)
    return starts, np.array([cuts[start] for start in starts], np.int32)


def nested(prefixes: Sequence[Prefix]) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield the position of each prefix with those of the prefixes around it, the widest first.

    A prefix comes after those around it; equal ones are around each other in their order. The
    second value is good until the next step.
    """

    def order(at: int) -> tuple[int, int, int]:
        one = prefixes[at]
        return one.family, one.first, one.length

    around: list[int] = []
    for at in sorted(range(len(prefixes)), key=order):
        while around and not prefixes[around[-1]].holds(prefixes[at]):
            around.pop()
        yield at, around
        around.append(at)


def in_prefixes(texts: pa.Array | pa.Scalar, index: PrefixIndex) -> pa.Array | pa.Scalar:
    """Return whether each address is in any of the prefixes; null for what is not an address."""
    scalar = isinstance(texts, pa.Scalar)
    encoded = (pa.array([texts.as_py()], pa.string()) if scalar else texts).dictionary_encode()
    addresses = parse_addresses(encoded.dictionary)
    inside = pa.array(index.lookup(addresses) >= 0, mask=addresses.family == 0)
    result = inside.take(encoded.indices)
    return result[0] if scalar else result


def to_prefixes(texts: pa.Array | pa.Scalar, bits4: int, bits6: int) -> pa.Array | pa.Scalar:
    """Return the prefix of each address, such as `10.1.2.0/24`; null for what is not an address."""
    scalar = isinstance(texts, pa.Scalar)
    encoded = (pa.array([texts.as_py()], pa.string()) if scalar else texts).dictionary_encode()
    addresses = parse_addresses(encoded.dictionary)
    first = addresses.v4 & np.uint32((0xFFFFFFFF << (32 - bits4)) & 0xFFFFFFFF)
    octets = [
        pa.array(first >> shift & np.uint32(255)).cast(pa.string()) for shift in (24, 16, 8, 0)
    ]
    joined = pc.binary_join_element_wise(*octets, ".")
    found = pc.binary_join_element_wise(joined, f"/{bits4}", "")
    if addresses.v6 is not None:
        wide = np.flatnonzero(addresses.family == 6)  # noqa: PLR2004
        kept, rest = divmod(bits6, 8)
        mask = np.zeros(16, np.uint8)
        mask[:kept] = 255
        if rest:
            mask[kept] = (0xFF << (8 - rest)) & 0xFF
        raw = addresses.v6[wide].view(np.uint8).reshape(-1, 16) & mask
        texts6 = [f"{socket.inet_ntop(socket.AF_INET6, row.tobytes())}/{bits6}" for row in raw]
        found = pc.replace_with_mask(found, pa.array(addresses.family == 6), pa.array(texts6))  # noqa: PLR2004
    found = pc.if_else(pa.array(addresses.family != 0), found, pa.scalar(None, pa.string()))
    result = found.take(encoded.indices)
    return result[0] if scalar else result
