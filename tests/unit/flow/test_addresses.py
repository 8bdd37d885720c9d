"""Addresses as text: what counts as one, and how it is written."""

import ipaddress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.flow.addresses import (
    canonical_addresses,
    canonical_ipv6,
    ip_versions,
    packed_ipv6,
    with_colon,
)
from tests.examples import examples


def test_valid_ipv4_passes_untouched():
    values = pa.array(["0.0.0.0", "255.255.255.255", "10.20.30.40", None])
    canonical, invalid = canonical_addresses(values)
    assert canonical is values
    assert invalid is None


@pytest.mark.parametrize(
    "text", ["256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.", " 1.2.3.4", "", ":", "1::2::3"]
)
def test_what_is_no_address_is_marked(text):
    canonical, invalid = canonical_addresses(pa.array(["10.0.0.1", text]))
    assert invalid.tolist() == [False, True]
    assert canonical.to_pylist() == ["10.0.0.1", None]


@settings(max_examples=examples(50), deadline=None)
@given(st.ip_addresses(v=6))
def test_ipv6_comes_out_the_same_from_every_spelling(address):
    forms = {
        canonical_ipv6(text) for text in (str(address), address.exploded, str(address).upper())
    }
    assert len(forms) == 1
    (form,) = forms
    assert form == form.lower()
    assert ipaddress.IPv6Address(form) == address


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(
        st.ip_addresses(v=6).map(str)
        | st.ip_addresses(v=4).map("::ffff:{}".format)
        | st.text("0123456789abcdefABCDEF:.%", max_size=40).map(":{}".format)
        | st.sampled_from(["::1.2.3.4", "fe80::1%eth0", "::\0", "1:2:3:4:5:6:7::", ":\u0661::"])
    )
)
def test_a_column_is_read_as_each_of_its_texts_by_the_standard_library(texts):
    expected = [_packed(text) for text in texts]
    assert packed_ipv6(texts) == expected
    canonical, invalid = canonical_addresses(pa.array(texts, pa.string()))
    assert [_packed(text or "") for text in canonical.to_pylist()] == expected
    assert canonical.to_pylist() == [canonical_ipv6(text) for text in texts]
    bad = [False] * len(texts) if invalid is None else invalid.tolist()
    assert bad == [each is None for each in expected]


def _packed(text):
    try:
        return None if "%" in text else ipaddress.IPv6Address(text).packed
    except ValueError:
        return None


def test_the_version_follows_the_address():
    column = pa.array(["10.0.0.1", None, "::1"]).dictionary_encode()
    assert ip_versions(column).to_pylist() == [4, None, 6]
    nothing = pa.nulls(2, pa.dictionary(pa.int32(), pa.string()))
    assert ip_versions(nothing).to_pylist() == [None, None]


def test_colons_are_found_in_slices_and_among_nulls():
    texts = pa.array(["::1", "10.0.0.1", None, "a:b:c", "", "fe80::1", "1.2.3.4"])
    assert with_colon(texts).tolist() == [0, 3, 5]
    assert with_colon(texts[1:6]).tolist() == [2, 4]
    assert with_colon(texts[6:]).tolist() == []
    assert with_colon(pa.array([], pa.string())).tolist() == []
    assert with_colon(pa.nulls(3, pa.string())).tolist() == []
