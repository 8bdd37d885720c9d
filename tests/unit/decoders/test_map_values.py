"""One coercion a type: what is a number, an address, a time, and what is not."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.decoders.read.json_careful import json_column
from ktrans.decoders.times import coerce_times
from ktrans.decoders.values import Rule, coerce, kind_of
from tests.examples import examples

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SECONDS = 1772366400


def one(rule, value, kind=None):
    """Return the value that comes of one, and the reason if it is wrong."""
    typed, wrong = coerce(rule, pa.array([value, None], kind))
    assert typed[1].as_py() is None
    return typed[0].as_py(), None if wrong is None else wrong.reasons[0]


@pytest.mark.parametrize("value", [443, 443.0, "443", "+443", "0443", " 443 ", "443.0"])
def test_63_integers_come_in_many_forms(value):
    assert one(Rule("port"), value) == (443, None)


@pytest.mark.parametrize(
    "value", [1.5, "1.5", "0x10", "1e3", "NaN", float("nan"), float("inf"), True, "http", "4 3"]
)
def test_63_what_is_no_integer_is_a_wrong_type(value):
    assert one(Rule("port"), value) == (None, "wrong_type")


@pytest.mark.parametrize("value", ["", "-"])
@pytest.mark.parametrize("kind", ["text", "address", "port", "protocol", "count", "time"])
def test_nothing_is_null(kind, value):
    assert one(Rule(kind), value) == (None, None)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("port", 65536), ("port", -1), ("protocol", 256), ("protocol", "300"), ("flags", 40000)],
)
def test_63_ranges_are_checked(kind, value):
    assert one(Rule(kind), value) == (None, "out_of_range")


@pytest.mark.parametrize("value", [-1, "-1", -1.0])
def test_63_negative_counters_were_not_available(value):
    assert one(Rule("count"), value) == (None, None)


def test_counters_reach_beyond_32_bits():
    assert one(Rule("count"), 4_000_000_000_000) == (4_000_000_000_000, None)
    assert one(Rule("count"), "4000000000000") == (4_000_000_000_000, None)


@pytest.mark.parametrize(
    ("name", "number"), [("TCP", 6), ("udp", 17), ("ICMPv4", 1), ("IPv6-ICMP", 58), ("132", 132)]
)
def test_66_protocols_by_name_or_number(name, number):
    assert one(Rule("protocol"), name) == (number, None)


def test_66_an_unknown_protocol_is_an_error_and_not_0():
    assert one(Rule("protocol"), "warp") == (None, "wrong_type")


def test_addresses_are_canonical():
    assert one(Rule("address"), "2001:DB8:0:0::1") == ("2001:db8::1", None)
    assert one(Rule("address"), "::ffff:10.0.0.1") == ("::ffff:10.0.0.1", None)
    assert one(Rule("address"), "10.0.0.256") == (None, "bad_address")
    assert one(Rule("address"), 7) == (None, "bad_address")


def test_values_are_replaced_without_regard_to_case():
    rule = Rule("text", values={"allow": "accept", "none": None})
    assert one(rule, "ALLOW") == ("accept", None)
    assert one(rule, "None") == (None, None)
    assert one(rule, "Other") == ("Other", None)
    assert one(Rule("text", lower=True), "DENY") == ("deny", None)


def test_numbers_are_multiplied_and_rounded():
    assert one(Rule("count", multiply=1000), 1.25) == (1250, None)
    assert one(Rule("count", multiply=1000), "0.0004") == (0, None)
    assert one(Rule("count", multiply=2), 3) == (6, None)
    assert one(Rule("count", multiply=1000), (1 << 63) - 1) == (None, "out_of_range")
    assert one(Rule("count", multiply=1000), 1.7e308) == (None, "wrong_type")
    assert one(Rule("count", multiply=1), (1 << 64) - 1, pa.uint64()) == (None, "out_of_range")
    assert one(Rule("count", multiply=0.001), 2**53 + 1) == (9_007_199_254_741, None)


@pytest.mark.parametrize(
    "value",
    [
        SECONDS,
        SECONDS * 1000,
        SECONDS * 10**6,
        SECONDS * 10**9 + 999,
        float(SECONDS),
        str(SECONDS),
        str(SECONDS * 10**9),
        f"{SECONDS}.0",
        "2026-03-01T12:00:00Z",
        "2026-03-01t12:00:00z",
        "2026-03-01 12:00:00",
        "2026-03-01 12:00:00 UTC",
        "2026-03-01T12:00:00.0000009Z",
        "2026-03-01T12:00:00.000000000123Z",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T12:00:00.000000+0000",
        "2026-03-01T06:30:00-0530",
    ],
)
def test_14_32_times_in_every_unit_and_form(value):
    assert one(Rule("time"), value) == (NOON, None)


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-03-01",
        "10:00",
        -5,
        "-5",
        True,
        "0x10",
        2**63 - 1,
        float("nan"),
        1e300,
    ],
)
def test_what_is_no_time_is_refused(value):
    typed, reason = one(Rule("time", unit="us" if value == 2**63 - 1 else "auto"), value)
    assert typed is None
    assert reason == "bad_timestamp"


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_a_unit_that_is_named_is_not_guessed(unit, factor):
    assert one(Rule("time", unit=unit), 7 * factor) == (
        datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC),
        None,
    )


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=8))
def test_times_are_the_same_from_numbers_and_texts(seconds):
    want, bad = coerce_times(pa.array(seconds), "s")
    assert bad is None
    for forms in (
        pa.array([str(s) for s in seconds]),
        pa.array([float(s) for s in seconds]),
        pa.array([datetime.fromtimestamp(s, UTC).isoformat() for s in seconds]),
    ):
        times, bad = coerce_times(forms, "s")
        assert times.equals(want)
        assert bad is None


def test_every_flow_column_has_a_kind():
    assert kind_of("src_pkt_addr") == "address"
    assert kind_of("dst_port") == "port"
    assert kind_of("rtt_us") == "count"
    assert kind_of("end_time") == "time"
    assert kind_of("rule") == "text"


LARGEST = (1 << 63) - 1


@pytest.mark.parametrize(
    "value", [LARGEST, str(LARGEST), f"+{LARGEST}", f"000{LARGEST}.0", 1 << 62]
)
@pytest.mark.parametrize("neighbour", [None, 5, "5", "x"])
def test_63_integers_of_19_digits_are_read_whatever_is_beside_them(value, neighbour):
    typed, _ = coerce(Rule("count"), json_column([value, neighbour]))
    assert typed[0].as_py() == int(str(value).removesuffix(".0"))


@pytest.mark.parametrize("value", [LARGEST + 1, 10**19, 10**40, str(LARGEST + 1), "9" * 5000])
def test_63_integers_beyond_64_bits_are_out_of_range(value):
    typed, wrong = coerce(Rule("count"), json_column([value, "5"]))
    assert typed.to_pylist() == [None, 5]
    assert (wrong.rows.tolist(), wrong.reasons) == ([0], ("out_of_range",))
