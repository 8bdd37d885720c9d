"""Rows as text by columns: the same text however a column is stored."""

import base64
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktrans.api import ConfigError, RowsError
from ktrans.kit.rows.codes import compact
from ktrans.kit.rows.json import check_json, json_text, object_pieces
from ktrans.kit.rows.pieces import joined, max_bytes, piece
from ktrans.kit.rows.points import point_times, sequenced
from ktrans.kit.rows.scalars import base64_text, scalar_text

texts = st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=40)


@given(texts, st.booleans())
def test_pieces_are_joined_row_by_row(values, coded):
    column = pa.array(values, pa.string())
    stored = column.dictionary_encode() if coded else column
    pieces = ["[", piece(stored, scalar_text, "<", ">", "-"), "]"]
    expected = ["[-]" if value is None else f"[<{value}>]" for value in values]
    assert joined(pieces, len(values)).to_pylist() == expected
    assert max_bytes(pieces, len(values)) >= sum(len(text.encode()) for text in expected)


@given(texts, st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=40), st.booleans())
def test_objects_are_what_a_json_parser_reads_back(names, numbers, nulls):
    count = min(len(names), len(numbers))
    columns = [
        pa.array(names[:count], pa.string()).dictionary_encode(),
        pa.array(numbers[:count], pa.int64()),
    ]
    rows = joined(object_pieces(["name", "n"], columns, nulls), count).to_pylist()
    for text, name, number in zip(rows, names, numbers, strict=False):
        expected = {"name": name, "n": number}
        if not nulls:
            expected = {key: value for key, value in expected.items() if value is not None}
        assert json.loads(text) == expected


@given(st.lists(st.none() | st.binary(max_size=20), max_size=30))
def test_bytes_are_base64(values):
    expected = [None if value is None else base64.b64encode(value).decode() for value in values]
    assert base64_text(pa.array(values, pa.binary())).to_pylist() == expected


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (
            pa.array([1777881600], pa.timestamp("s", "UTC")),
            "2026-05-04T08:00:00.000000Z",
        ),
        (pa.array([1777881600000], pa.timestamp("ms")), "2026-05-04T08:00:00.000000"),
        (pa.array([90], pa.duration("s")), "90"),
        (pa.array([1.5], pa.float16()), "1.5"),
        (pa.array([True]), "true"),
        (pa.array([1 << 63], pa.uint64()), "9223372036854775808"),
    ],
)
def test_scalars_have_one_text(array, text):
    assert scalar_text(array).to_pylist() == [text]


def test_nested_values_are_json():
    kind = pa.struct({"a": pa.list_(pa.int64()), "m": pa.map_(pa.string(), pa.float64())})
    values = [{"a": [1, None], "m": [("x", 1.5), ("y", float("nan"))]}, None]
    found = json_text(pa.array(values, kind)).to_pylist()
    assert json.loads(found[0]) == {"a": [1, None], "m": {"x": 1.5, "y": None}}
    assert found[1] is None


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        (pa.schema([("a", pa.month_day_nano_interval())]), "type_not_supported"),
        (pa.schema([("a", pa.int64()), ("a", pa.int64())]), "duplicate_column"),
    ],
)
def test_what_json_has_no_form_for_is_refused_before_any_row(schema, code):
    with pytest.raises(ConfigError) as caught:
        check_json(schema)
    assert caught.value.code == code


def test_unused_values_of_a_large_dictionary_are_removed():
    whole = pa.array([str(i) for i in range(1000)]).dictionary_encode()
    part = compact(whole[5:7])
    assert part.to_pylist() == ["5", "6"]
    assert len(part.dictionary) == 2


def rows(uris, positions):
    return pa.record_batch({"source_uri": uris, "source_pos": pa.array(positions, pa.int64())})


def test_the_first_time_that_is_there_is_taken_and_none_at_all_is_an_error():
    end = pa.array([None, 2], pa.timestamp("s"))
    start = pa.array([1, 1], pa.timestamp("ms"))
    assert point_times([end, start], "ms").tolist() == [1, 2000]
    with pytest.raises(RowsError) as caught:
        point_times([end], "ns")
    assert caught.value.code == "time_missing"
    assert caught.value.rows.to_pylist() == [True, False]


def test_rows_of_one_object_never_share_a_time_however_they_are_cut():
    whole = rows(["a", "b", "a", "a"], [1, 1, 2, 3])
    times = point_times([pa.array([7] * 4, pa.timestamp("s"))], "ns")
    found = sequenced(times, whole, spread=True)
    assert len(set(found.tolist())) == 4
    assert (found // 10**9 == 7).all()
    parts = [sequenced(times[i : i + 1], whole.slice(i, 1), spread=True)[0] for i in range(4)]
    assert parts == found.tolist()
