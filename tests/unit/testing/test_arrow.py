"""Assertions on Arrow data: what counts as equal, and what a failure says."""

import datetime as dt
import math
import subprocess
import sys

import pyarrow as pa
import pytest

from ktrans.testing.arrow import assert_batches_equal, describe_difference

TIME = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def table(**columns):
    return pa.table(columns)


EQUAL = {
    "dictionaries by value": (
        table(a=pa.array(["x", None, "x"]).dictionary_encode()),
        table(a=pa.array(["x", None, "x"])),
    ),
    "dictionaries of each batch": (
        [table(a=pa.array([v]).dictionary_encode()) for v in ("x", "y")],
        table(a=["x", "y"]),
    ),
    "NaN": (table(a=[math.nan, 1.0]), table(a=[math.nan, 1.0])),
    "nested": (table(a=[[{"b": [1, math.nan]}], None]), table(a=[[{"b": [1, math.nan]}], None])),
    "maps": (
        table(a=pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string()))),
        table(a=pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string()))),
    ),
    "batches and tables": (table(a=[1, 2, 3]), table(a=[1, 2, 3]).to_batches(max_chunksize=2)),
    "no rows": (table(a=pa.array([], pa.int64())), table(a=pa.array([], pa.int64()))),
    "nothing": ([], []),
}


@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.parametrize("ignore_order", [False, True])
def test_what_is_the_same_by_value_is_equal(name, ignore_order):
    one, other = EQUAL[name]
    assert_batches_equal(one, other, ignore_order=ignore_order)
    assert_batches_equal(other, one, ignore_order=ignore_order)


DIFFERENT = {
    "null and empty": ([None], [""]),
    "null and its name": ([None], ["null"]),
    "times": ([TIME], [TIME + dt.timedelta(microseconds=1)]),
    "nested": ([[1, None]], [[1, 0]]),
    "NaN and null": ([math.nan], pa.array([None], pa.float64())),
}


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("ignore_order", [False, True])
def test_what_differs_is_shown_with_both_values(name, ignore_order):
    one, other = (pa.array(v) if not isinstance(v, pa.Array) else v for v in DIFFERENT[name])
    if one.type != other.type:
        one = one.cast(other.type)
    told = describe_difference(table(a=one), table(a=other), ignore_order=ignore_order)
    assert "1 row differs" in told
    minus, plus = (line for line in told.splitlines() if line[2:3] in "-+" and line[:2] == "  ")
    assert minus[3:] != plus[3:]


def test_columns_are_compared_first():
    told = describe_difference(table(a=[1], b=["x"]), table(a=["1"], c=[2.0]))
    assert told.splitlines() == [
        "the columns differ:",
        "  ! a: int64 expected, got string",
        "  - b: string is missing",
        "  + c: double was not expected",
    ]
    assert "another order: b, a" in describe_difference(table(a=[1], b=[2]), table(b=[2], a=[1]))
    assert_batches_equal(table(a=[1], b=["x"]), table(c=[3], a=[1]), columns=["a"])
    assert "b: string is missing" in describe_difference(
        table(a=[1], b=["x"]), table(a=[1]), columns=["a", "b"]
    )


def test_a_missing_row_is_one_difference_and_not_all_behind_it():
    rows = [f"r{i}" for i in range(100)]
    told = describe_difference(table(n=rows), table(n=rows[:40] + rows[41:]))
    assert told.splitlines() == [
        "1 row differs: expected 100 rows, got 99",
        "",
        "    row  n",
        "  -  40  'r40'",
    ]


def test_differing_cells_are_marked_and_counted():
    one = table(a=[1, 2, 3], b=["x", "y", "z"])
    other = table(a=[1, 5, 3], b=["x", "y", "w"])
    assert describe_difference(one, other).splitlines() == [
        "2 rows differ: expected 3 rows, got 3",
        "columns that differ: a (1), b (1)",
        "",
        "    row  a    b",
        "  -   1  [2]   'y'",
        "  +   1  [5]   'y'",
        "  -   2   3   ['z']",
        "  +   2   3   ['w']",
    ]


def test_multisets_pair_what_is_most_alike():
    one = table(a=[1, 2, 2, 9], b=["x", "y", "y", "q"], c=[0, 0, 0, 0])
    other = table(a=[2, 9, 1, 2], b=["y", "changed", "x", "y"], c=[0, 0, 0, 0])
    told = describe_difference(one, other, ignore_order=True)
    assert "1 row differs" in told
    assert "columns that differ: b (1)" in told
    assert "['changed']" in told
    assert_batches_equal(one, one.take([3, 2, 1, 0]), ignore_order=True)
    assert "1 row differs" in describe_difference(one, one.slice(1), ignore_order=True)
    assert describe_difference(one, one.take([0, 1, 3, 3]), ignore_order=True)


def test_many_differences_are_cut_short():
    told = describe_difference(table(n=list(range(9000))), table(n=list(range(1, 9001))))
    assert told.startswith("9000 rows differ")
    assert told.endswith("and 8990 more")
    assert len(told.splitlines()) < 30


@pytest.mark.slow
def test_a_plain_assert_on_batches_shows_the_rows(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pyarrow as pa\n\n"
        "def test_it():\n"
        "    assert pa.record_batch({'n': [1, 2]}) == pa.record_batch({'n': [1, 3]})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "1 row differs" in done.stdout
    assert "-   1  [3]" in done.stdout
    assert "+   1  [2]" in done.stdout
