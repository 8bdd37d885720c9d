"""Splitting a batch by folders: every row in one group, in its order."""

import datetime as dt

import pyarrow as pa
import pytest

from ktrans.api import ConfigError
from ktrans.kit.files.partition import check_columns, group, take
from ktrans.kit.files.path_template import NULL_PARTITION, parse

HOUR = dt.timedelta(hours=1)
START = dt.datetime(2026, 5, 4, 22, tzinfo=dt.UTC)


def batch(**columns):
    return pa.record_batch(columns)


def grouped(path, rows):
    keys, indices = group(parse(path), rows)
    if not indices:
        return {keys[0]: list(range(rows.num_rows))}
    return {key: found.to_pylist() for key, found in zip(keys, indices, strict=True)}


def test_rows_are_grouped_by_text_number_and_time_in_their_order():
    rows = batch(
        account=pa.array(["a", "b", "a", None, "a"]).dictionary_encode(),
        port=pa.array([1, 1, 1, 1, 2]),
        time=pa.array([START + i * HOUR for i in range(5)], pa.timestamp("us", "UTC")),
    )
    assert grouped("out/{account}/{port}/", rows) == {
        ("a", "1"): [0, 2],
        ("b", "1"): [1],
        (NULL_PARTITION, "1"): [3],
        ("a", "2"): [4],
    }
    assert grouped("out/{time:%Y-%m-%d}/", rows) == {
        ("2026-05-04",): [0, 1],
        ("2026-05-05",): [2, 3, 4],
    }


def test_null_and_empty_text_share_a_partition():
    rows = batch(account=pa.array(["", None, "x", ""]))
    assert grouped("out/{account}/", rows) == {(NULL_PARTITION,): [0, 1, 3], ("x",): [2]}


def test_times_before_1970_and_dates_are_cut_downwards():
    times = pa.array([dt.datetime(1969, 12, 31, 23, 59, tzinfo=dt.UTC)], pa.timestamp("ns", "UTC"))
    rows = batch(time=times, day=pa.array([dt.date(2026, 2, 28)]))
    assert grouped("out/{time:%Y}/{day:%m-%d}/", rows) == {("1969", "02-28"): [0]}


def test_rows_that_belong_together_are_not_gathered():
    keys, indices = group(parse("out/{account}/"), batch(account=pa.array(["x"] * 4)))
    assert (keys, indices) == ([("x",)], [])


def test_a_dictionary_of_a_larger_batch_gives_no_groups_without_rows():
    whole = pa.array([str(i) for i in range(100)]).dictionary_encode()
    assert set(grouped("out/{account}/", batch(account=whole[3:5]))) == {("3",), ("4",)}


def test_taking_rows_keeps_all_columns_as_they_are():
    rows = batch(
        n=pa.array([1, 2, 3]), same=pa.array(["x"] * 3).dictionary_encode(), none=pa.nulls(3)
    )
    assert take(rows, pa.array([2, 0])).to_pylist() == [
        {"n": 3, "same": "x", "none": None},
        {"n": 1, "same": "x", "none": None},
    ]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("out/{nowhere}/", "column_missing"),
        ("out/{time}/", "path_format"),
        ("out/{port:%Y}/", "path_format"),
        ("out/{ratio}/", "type_not_supported"),
    ],
)
def test_a_column_that_cannot_be_a_folder_is_refused_before_any_row(path, code):
    schema = pa.schema({"time": pa.timestamp("us"), "port": pa.int32(), "ratio": pa.float64()})
    with pytest.raises(ConfigError) as caught:
        check_columns(parse(path), schema)
    assert caught.value.code == code
