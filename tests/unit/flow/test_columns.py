"""Building flow columns: texts, times, attributes, ports, whole batches."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.flow.columns import (
    as_text,
    coalesce_text,
    constant_text,
    flow_batch,
    lower_text,
    nulls,
    recode,
    unix_times,
)
from ktrans.flow.maps import build_attrs
from ktrans.flow.protocols import blank_ports, portless
from ktrans.flow.schema import FLOW_SCHEMA, TEXT, project
from tests.examples import examples

texts = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "é"])), max_size=8)


def text(values):
    return pa.array(values, pa.string()).dictionary_encode().cast(TEXT)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_any_text_becomes_a_text_column(kind):
    column = as_text(pa.array(["x", None, "x"], pa.string()).cast(kind))
    assert column.type == TEXT
    assert column.to_pylist() == ["x", None, "x"]


def test_recoded_values_that_meet_are_held_once():
    column = recode(text(["A", "a", None, "b"]), pa.array(["a", "a", None]))
    assert column.to_pylist() == ["a", "a", None, None]
    assert column.dictionary.to_pylist() == ["a"]
    assert lower_text(text(["ACCEPT", None])).to_pylist() == ["accept", None]


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.tuples(*[st.one_of(st.none(), st.sampled_from("abc"))] * 2), max_size=8))
def test_coalesced_texts_fall_back_row_by_row(pairs):
    first, second = (text([pair[place] for pair in pairs]) for place in (0, 1))
    expected = [a if a is not None else b for a, b in pairs]
    assert coalesce_text(first, second).to_pylist() == expected


def test_unix_times_of_all_units_and_nulls():
    moment = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    column = pa.array([1700000000, None, 1700000000000, 1700000000000000, 1700000000000000000])
    assert unix_times(column).to_pylist() == [moment, None, moment, moment, moment]
    assert unix_times(column.slice(1, 2)).to_pylist() == [None, moment]


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.sampled_from(["v", "w"])), min_size=3, max_size=3),
        max_size=8,
    )
)
def test_attrs_hold_what_is_there_and_nothing_else(rows):
    names = ["one", "two", "three"]
    fields = [(name, text([row[place] for row in rows])) for place, name in enumerate(names)]
    expected = [
        [(name, value) for name, value in zip(names, row, strict=True) if value is not None] or None
        for row in rows
    ]
    built = build_attrs(fields, len(rows))
    built.validate(full=True)
    assert built.to_pylist() == expected


def test_ports_of_portless_protocols_are_null():
    protocol = pa.array([6, 1, None, 17], pa.int16())
    port = pa.array([0, 0, 5, 53], pa.int32())
    assert blank_ports(port, portless(protocol)).to_pylist() == [0, None, 5, 53]
    assert portless(pa.array([6, 17], pa.int16())) is None


@pytest.mark.parametrize("rows", [0, 3, 70_000])
def test_a_batch_has_every_column_of_its_schema(rows):
    batch = flow_batch(FLOW_SCHEMA, rows, {"provider": constant_text("aws", rows)})
    batch.validate(full=True)
    assert batch.schema == FLOW_SCHEMA
    assert batch.num_rows == rows
    assert batch.column("attrs").null_count == rows
    assert flow_batch(project(["bytes"]), rows, {"bytes": nulls(rows, pa.int64())}).num_rows == rows
