"""Addresses by columns: strict parsing, and longest-prefix match against a plain search."""

from __future__ import annotations

import ipaddress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.expressions.prefixes import PrefixIndex, nested, parse_addresses, parse_prefix
from tests.examples import examples


def number(addresses, i):
    if addresses.family[i] == 4:
        return int(addresses.v4[i])
    return int.from_bytes(addresses.v6.view("V16")[i].tobytes())


BAD = [
    "", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.0x4", "+1.2.3.4", " 1.2.3.4",
    "1.2.3.4 ", "1..2.3", "...", "1.2.3.1000", "a.b.c.d", "::1%eth0", ":::", "12345::", "1.2.3.4/32",
    "1.2.3.", ".1.2.3", "1.2.3.4\n", "٣.1.1.1", "1.2.3.-4",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_none(text):
    alone = parse_addresses(pa.array([text]))
    among = parse_addresses(pa.array(["9.8.7.6", text, None, "fe80::1"]))
    assert alone.family.tolist() == [0]
    assert among.family.tolist() == [4, 0, 0, 6]


def test_two_wrongs_do_not_make_two_addresses():
    assert parse_addresses(pa.array(["1.2.3", "1.2.3.4.5"])).family.tolist() == [0, 0]
    assert parse_addresses(pa.array(["1.2.3.4.", "5.6.7"])).family.tolist() == [0, 0]


@given(st.lists(st.ip_addresses(), min_size=1), st.integers(0, 5))
@settings(max_examples=examples(50), deadline=None)
def test_reads_what_ipaddress_writes(addresses, start):
    texts = pa.array([str(a) for a in addresses])[start:]
    parsed = parse_addresses(texts)
    for i, address in enumerate(addresses[start:]):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert parsed.family[i] == plain.version
        assert number(parsed, i) == int(plain)


MAKE = {4: ipaddress.IPv4Network, 6: ipaddress.IPv6Network}
BITS = {4: 32, 6: 128}


def networks(kind):
    """Any network: an address and how many of its bits count."""
    bits = BITS[kind]
    return st.builds(
        lambda address, n: MAKE[kind]((int(address) >> (bits - n) << (bits - n), n)),
        st.ip_addresses(v=kind),
        st.integers(0, bits),
    )


def in_each_other(kind):
    """Networks that lie in each other: any prefix lengths of a few addresses."""
    bits = BITS[kind]
    return st.builds(
        lambda base, n: MAKE[kind](((base << (bits - 3)) >> (bits - n) << (bits - n), n)),
        st.integers(0, 7),
        st.integers(0, 4) | st.integers(bits - 2, bits),
    )


@given(
    prefixes=st.lists(
        st.one_of(networks(4), networks(6), in_each_other(4), in_each_other(6)),
        unique=True,
        max_size=30,
    ),
    probes=st.lists(st.ip_addresses(), max_size=20),
)
@settings(max_examples=examples(50), deadline=None)
def test_longest_prefix_matches_a_plain_search(prefixes, probes):
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    prefixes = [p for p in prefixes if p.version == 4 or not p.overlaps(mapped)]
    probes = [a for a in probes if a.version == 4 or a not in mapped]
    probes += [p.network_address for p in prefixes] + [p.broadcast_address for p in prefixes]
    probes += [a + 1 for a in probes if int(a) + 1 < 2**a.max_prefixlen]
    probes = [a for a in probes if a.version == 4 or a not in mapped] or [
        ipaddress.ip_address("::")
    ]
    index = PrefixIndex([parse_prefix(str(p)) for p in prefixes])
    found = index.lookup(parse_addresses(pa.array([str(a) for a in probes])))
    for address, row in zip(probes, found.tolist(), strict=True):
        around = [p for p in prefixes if p.version == address.version and address in p]
        best = max(around, key=lambda p: p.prefixlen, default=None)
        assert row == (-1 if best is None else prefixes.index(best)), address


@given(
    st.lists(st.one_of(networks(4), networks(6), in_each_other(4), in_each_other(6)), max_size=30)
)
@settings(max_examples=examples(50), deadline=None)
def test_the_prefixes_around_each_one_are_those_of_a_plain_search(prefixes):
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    prefixes = [p for p in prefixes if p.version == 4 or not p.overlaps(mapped)]
    found = [(at, list(around)) for at, around in nested([parse_prefix(str(p)) for p in prefixes])]
    assert sorted(at for at, _ in found) == list(range(len(prefixes)))
    for at, around in found:
        here = prefixes[at]
        wanted = [
            (p.prefixlen, other)
            for other, p in enumerate(prefixes)
            if p.version == here.version and here.subnet_of(p) and (p != here or other < at)
        ]
        assert around == [other for _, other in sorted(wanted)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("10.0.0.0/33", "between 0 and 32"),
        ("10.0.0.0/", "between 0 and 32"),
        ("10.0.0/8", "not an address or prefix"),
        ("2001:db8::1/32", "did you mean 2001:db8::/32"),
        ("", "not an address or prefix"),
    ],
)
def test_bad_prefixes_say_why(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_prefix(text)


def test_prefixes_of_mapped_addresses_are_ipv4():
    assert parse_prefix("::ffff:10.0.0.0/104") == parse_prefix("10.0.0.0/8")


def test_ipv6_among_other_texts_is_read_one_by_one():
    texts = pa.array(["::ffff:10.0.0.1", "::1%eth0", "10.0.0.2", None, "2001:db8::1", "no", "::"])
    parsed = parse_addresses(texts)
    assert parsed.family.tolist() == [4, 0, 4, 0, 6, 0, 6]
    assert parsed.v4.tolist() == [0x0A000001, 0, 0x0A000002, 0, 0, 0, 0]
    assert number(parsed, 4) == int(ipaddress.ip_address("2001:db8::1"))
