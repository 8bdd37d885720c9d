"""community_id: the specification's own reference data, and a plain model for everything else."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import ConfigError
from ktrans.enrichers.community_id import CommunityIdEnricher, CommunityIdEnricherConfig
from ktrans.enrichers.hashes.sha1 import sha1
from ktrans.flow.schema import TEXT
from tests.examples import examples

SCHEMA = pa.schema(
    [
        ("src_addr", TEXT),
        ("dst_addr", TEXT),
        ("src_port", pa.int32()),
        ("dst_port", pa.int32()),
        ("protocol", pa.int16()),
        ("kind", pa.int64()),
        ("code", pa.int64()),
    ]
)
ICMP = {"icmp_type_column": "kind", "icmp_code_column": "code"}

# protocol, source, destination, source port or ICMP type, destination port or ICMP code; the ID with
# seed 0, and with seed 1. From the baseline folder of the specification.
BASELINE = [
    (58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 136, "dGHyGvjMfljg6Bppwm3bg0LO8TY=", "kHa1FhMYIT6Ym2Vm2AOtoOARDzY="),
    (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 135, "dGHyGvjMfljg6Bppwm3bg0LO8TY=", "kHa1FhMYIT6Ym2Vm2AOtoOARDzY="),
    (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 136, "zavyT/cezQr1fmImYCwYnMXbgck=", "2hSqmsDZ2kdcY9kbiUzOEBic0iM="),
    (58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "2ObVBgIn28oZvibYZhZMBgh7WdQ=", "lVEtCZpYu84Xqaa++3lXFyuu2n4="),
    (58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4, "hLZd0XGWojozrvxqE0dWB1iM6R0=", "W8MHwXpWzpoSTD+cGcaJr4u0ys8="),
    (58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 129, "+TW+HtLHvV1xnGhV1lv7XoJrqQg=", "GfZxjAkDk2MkegpBYHV6tadtFXQ="),
    (58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 134, "hO+sN4H+MG5MY/8hIrXPqc4ZQz0=", "L7Ka0ZMYu+J3bL4ulW2PrqyXNo8="),
    (58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 133, "pkvHqCL88/tg1k4cPigmZXUtL00=", "K/ee5UCqAMAQXDorP5nSa2CGLjc="),
    (1, "192.168.0.89", "192.168.0.1", 8, 0, "X0snYXpgwiv9TZtqg64sgzUn6Dk=", "03g6IloqVBdcZlPyX8r0hgoE7kA="),
    (1, "192.168.0.1", "192.168.0.89", 0, 8, "X0snYXpgwiv9TZtqg64sgzUn6Dk=", "03g6IloqVBdcZlPyX8r0hgoE7kA="),
    (1, "10.0.0.1", "10.0.0.2", 11, 0, "YHxtAirCG//0OzkcVAukqKQN9xM=", "XjUibYHaafLQ3pxQeiMI8g25q20="),
    (6, "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25, "/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "eJYTW6AOzFLlSUoESovMjnu7rMw="),
    (6, "2607:f8b0:400c:c03::1a", "2001:470:e5bf:dead:4957:2174:e82c:4887", 25, 63943, "/qFaeAR+gFe1KYjMzVDsMv+wgU4=", "eJYTW6AOzFLlSUoESovMjnu7rMw="),
    (132, "192.168.170.8", "192.168.170.56", 7, 7, "MP2EtRCAUIZvTw6MxJHLV7N7JDs=", "5w3ZRjeKBzqT3zsaEECDGjUbYeg="),
    (132, "192.168.170.56", "192.168.170.8", 7, 7, "MP2EtRCAUIZvTw6MxJHLV7N7JDs=", "5w3ZRjeKBzqT3zsaEECDGjUbYeg="),
    (6, "128.232.110.120", "66.35.250.204", 34855, 80, "LQU9qZlK+B5F3KDmev6m5PMibrg=", "3V71V58M3Ksw/yuFALMcW0LAHvc="),
    (6, "66.35.250.204", "128.232.110.120", 80, 34855, "LQU9qZlK+B5F3KDmev6m5PMibrg=", "3V71V58M3Ksw/yuFALMcW0LAHvc="),
    (17, "192.168.1.52", "8.8.8.8", 54585, 53, "d/FP5EW3wiY1vCndhwleRRKHowQ=", "Q9We8WO3piVF8yEQBNJF4uiSVrI="),
    (46, "10.1.12.1", "10.1.12.2", None, None, "KHlLkgoJW7ifUTyTSgyVfkFHzKw=", "rYir8gphR31noO9iDRQmF/BteEI="),
    (46, "10.1.12.2", "10.1.12.1", None, None, "KHlLkgoJW7ifUTyTSgyVfkFHzKw=", "rYir8gphR31noO9iDRQmF/BteEI="),
]  # fmt: skip


def batch_of(rows):
    """Make a batch of (protocol, source, destination, port or type, port or code)."""
    data = []
    for protocol, source, destination, first, second in rows:
        ends = ("kind", "code") if protocol in (1, 58) else ("src_port", "dst_port")
        row = dict(zip(ends, (first, second), strict=True))
        data.append({"protocol": protocol, "src_addr": source, "dst_addr": destination, **row})
    return pa.RecordBatch.from_pylist(data, schema=SCHEMA)


def ids(batch, **options):
    enricher = CommunityIdEnricher(CommunityIdEnricherConfig(**options))
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    return out.column("community_id").to_pylist()


@pytest.mark.parametrize(("options", "at"), [({}, 5), ({"seed": 1}, 6)], ids=str)
def test_the_reference_data_of_the_specification(options, at):
    batch = batch_of([case[:5] for case in BASELINE])
    assert ids(batch, **ICMP, **options) == [f"1:{case[at]}" for case in BASELINE]


def test_what_is_missing_makes_it_null():
    good = (6, "10.0.0.1", "10.0.0.2", 1, 2)
    rows = [
        good,
        (None, *good[1:]),
        (6, None, *good[2:]),
        (6, "10.0.0.1", "2001:db8::1", 1, 2),
        (6, "10.0.0.1", "host", 1, 2),
        (6, "10.0.0.1", "10.0.0.2", None, 2),
        (17, "10.0.0.1", "10.0.0.2", 1, 70_000),
        (1, "10.0.0.1", "10.0.0.2", None, None),
        (1, "10.0.0.1", "10.0.0.2", 3, None),
        (300, "10.0.0.1", "10.0.0.2", None, None),
    ]
    assert [value is None for value in ids(batch_of(rows), **ICMP)] == [False] + [True] * 9


def test_icmp_without_its_columns_is_null_and_a_code_matters_only_without_an_answer():
    rows = [
        (1, "10.0.0.1", "10.0.0.2", kind, code) for kind, code in ((8, 0), (8, 5), (3, 0), (3, 1))
    ]
    assert ids(batch_of(rows)) == [None] * 4
    echo, echo_again, port, host = ids(batch_of(rows), **ICMP)
    assert echo == echo_again
    assert port != host
    assert ids(batch_of(rows), icmp_type_column="kind") == [echo, echo, None, None]


def test_an_ipv4_address_written_as_ipv6_is_the_same_flow():
    rows = [(6, "10.0.0.1", "10.0.0.2", 5, 6), (6, "::ffff:10.0.0.2", "10.0.0.1", 6, 5)]
    assert len(set(ids(batch_of(rows)))) == 1


def model(row, seed):
    """Compute one ID, one row at a time, for protocols other than ICMP."""
    protocol, *flow = row
    if protocol is None or flow[0] is None or flow[1] is None:
        return None
    ends = [ipaddress.ip_address(address) for address in flow[:2]]
    ports = flow[2:] if protocol in (6, 17, 132) else [0, 0]
    if ends[0].version != ends[1].version or None in ports:
        return None
    low, high = sorted(zip([end.packed for end in ends], ports, strict=True))
    data = struct.pack("!H", seed) + low[0] + high[0] + struct.pack("!BB", protocol, 0)
    if protocol in (6, 17, 132):
        data += struct.pack("!HH", low[1], high[1])
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()


ADDRESSES = st.sampled_from(
    [None, "10.0.0.1", "10.0.0.2", "255.255.255.255", "0.0.0.0", "2001:db8::1", "::", "ffff::"]
)
PORTS = st.sampled_from([None, 0, 1, 255, 256, 65_535])
ROWS = st.lists(
    st.tuples(st.sampled_from([None, 0, 6, 17, 132, 47, 255]), ADDRESSES, ADDRESSES, PORTS, PORTS),
    max_size=60,
)


@given(ROWS, st.sampled_from([0, 1, 65_535]), st.integers(0, 60))
@settings(max_examples=examples(50), deadline=None)
def test_it_agrees_with_a_plain_model_however_the_batch_is_cut(rows, seed, cut):
    batch = batch_of(rows)
    expected = [model(row, seed) for row in rows]
    assert ids(batch, seed=seed) == expected
    assert ids(batch.slice(0, cut), seed=seed) + ids(batch.slice(cut), seed=seed) == expected


def test_many_flows_of_both_families_each_in_both_directions():
    rows = []
    for i in range(10_000):
        a, b = f"10.0.{i >> 8}.{i & 255}", f"10.1.{i & 7}.1"
        if i % 3 == 0:
            a, b = f"2001:db8::{i:x}", "2001:db8:ffff::1"
        rows.append((6, a, b, 30_000 + i, 443))
    there = ids(batch_of(rows))
    back = ids(batch_of([(p, b, a, y, x) for p, a, b, x, y in rows]))
    assert there == back == [model(row, 0) for row in rows]
    assert len(set(there)) == 10_000


@given(st.lists(st.binary(max_size=55), max_size=20))
@settings(max_examples=examples(50), deadline=None)
def test_sha1_of_short_messages(messages):
    words = np.zeros((16, len(messages)), np.uint32)
    for i, message in enumerate(messages):
        block = (message + b"\x80").ljust(56, b"\0") + struct.pack("!Q", 8 * len(message))
        words[:, i] = np.frombuffer(block, ">u4")
    digests = sha1(words)
    for i, message in enumerate(messages):
        expected = hashlib.sha1(message).digest()
        assert digests[:, i].astype(">u4").tobytes() == expected


def test_a_wrong_column_is_named():
    enricher = CommunityIdEnricher(CommunityIdEnricherConfig(icmp_type_column="src_addr"))
    with pytest.raises(ConfigError, match="src_addr") as error:
        enricher.bind(SCHEMA)
    assert error.value.field == "icmp_type_column"
    enricher = CommunityIdEnricher(CommunityIdEnricherConfig(column="src_addr"))
    with pytest.raises(ConfigError, match="already") as error:
        enricher.bind(SCHEMA)
    assert error.value.field == "column"
