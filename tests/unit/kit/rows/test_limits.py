"""Rows that the columns of a table cannot hold are found, and no others."""

import doctest
import ipaddress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import RowsError
from ktrans.kit.rows import limits
from ktrans.kit.rows.limits import Limit, check_rows
from tests.examples import examples

TEXTS = ["", "a", "abcd", "a\0b", "10.0.0.1", "::1", "::ffff:1.2.3.4", "10.0.0.0/8", "10.0.0.0/33"]
ADDRESSES = {"10.0.0.1": 4, "::1": 6, "::ffff:1.2.3.4": 0}


def test_the_examples_in_the_docs_run():
    assert doctest.testmod(limits).attempted == 4


def refused(array, limit):
    """Return the values of the rows that do not fit, and why."""
    try:
        check_rows(pa.record_batch({"c": array}), {"c": limit})
    except RowsError as error:
        return array.filter(pa.array(error.rows, pa.bool_())).to_pylist(), error.code
    return [], None


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)), st.integers(-9, 9))
def test_numbers_out_of_range(values, low):
    limit = Limit(low=low, high=10**6)
    wrong = [v for v in values if v is not None and v < low]
    wrong = wrong or [v for v in values if v is not None and v > 10**6]
    assert refused(pa.array(values, pa.int32()), limit)[0] == wrong


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.none() | st.sampled_from(TEXTS), min_size=1), st.booleans())
def test_texts_by_each_limit(values, coded):
    array = pa.array(values, pa.string())
    array = array.dictionary_encode() if coded else array
    given_texts = [v for v in values if v is not None]
    assert refused(array, Limit(without="\0"))[0] == [v for v in given_texts if "\0" in v]
    assert refused(array, Limit(max_chars=3))[0] == [v for v in given_texts if len(v) > 3]
    assert refused(array, Limit(address=True))[0] == [v for v in given_texts if v not in ADDRESSES]
    assert refused(array, Limit(address=4))[0] == [v for v in given_texts if ADDRESSES.get(v) != 4]
    expected = [v for v in given_texts if not network(v)]
    assert refused(array, Limit(address=True, networks=True))[0] == expected
    assert refused(array, Limit(required=True))[0] == [None] * values.count(None)


def network(text):
    try:
        return bool(ipaddress.ip_interface(text))
    except ValueError:
        return False


def test_texts_within_lists():
    array = pa.array([["a"], ["a", "b\0"], None, [None], []])
    assert refused(array, Limit(without="\0")) == ([["a", "b\0"]], "text_not_storable")


def test_a_character_that_does_harm_in_some_places_only():
    array = pa.array([r'{"a":"\u0000"}', r'{"a":"\\u0000"}', r'{"a":"\\\u0000"}', "{}"])
    limit = Limit(without=r"\u0000", harmful=r"(?:^|[^\\])(?:\\\\)*\\u0000")
    assert refused(array, limit)[0] == [array[0].as_py(), array[2].as_py()]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_have_a_reason_of_their_own(unit):
    array = pa.array([-1, 0, 5, None], pa.int64()).cast(pa.timestamp(unit, "UTC"))
    with pytest.raises(RowsError) as caught:
        check_rows(pa.record_batch({"c": array}), {"c": Limit(low=0)})
    assert caught.value.code == "time_out_of_range"
    assert pa.array(caught.value.rows).to_pylist() == [True, False, False, False]


def test_numbers_that_only_an_unsigned_type_holds():
    values = pa.array([2**64 - 1, 1], pa.uint64())
    assert refused(values, Limit(high=2**63 - 1)) == ([2**64 - 1], "out_of_range")
    assert refused(values, Limit(low=-1, high=2**64 - 1)) == ([], None)
