"""Rows as lines, cut into requests, and series counted."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.sink import InfluxdbSink

from ktrans.api import ConfigError, RunError
from ktrans.kit.series import TAGS, SeriesBudget, estimate, hash_series
from tests.examples import examples


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab") | st.none(), st.integers(0, 5)), max_size=20),
        max_size=5,
    )
)
def test_as_many_series_are_counted_as_there_are_combinations(groups):
    rows = [row for group in groups for row in group]
    distinct = len(set(rows))

    def fill(limit):
        budget = SeriesBudget(limit, TAGS)
        for group in groups:
            batch = pa.record_batch(
                {
                    "text": pa.array([row[0] for row in group], pa.string()).dictionary_encode(),
                    "number": pa.array([row[1] for row in group], pa.int64()),
                }
            )
            series, tags = hash_series(batch, ["text", "number"], None)
            budget.add((np.unique(series), tags))

    fill(distinct)
    if distinct > 1:
        with pytest.raises(RunError, match="max_series"):
            fill(distinct - 1)


def test_the_tag_with_the_most_values_is_named():
    batch = pa.record_batch(
        {
            "action": pa.array(["ACCEPT", "REJECT"] * 50),
            "src_addr": pa.array([f"10.0.0.{n}" for n in range(100)]),
        }
    )
    with pytest.raises(RunError, match=r"src_addr \(100\), action \(2\)") as caught:
        SeriesBudget(99, TAGS).add(hash_series(batch, ["action", "src_addr"], None))
    assert "`src_addr`" in caught.value.hint


def test_a_tag_for_each_row_makes_each_row_a_series():
    batch = pa.record_batch({"uri": pa.array(["a"] * 10), "pos": pa.array(range(10))})
    assert len(set(hash_series(batch, ["uri"], "pos")[0])) == 10
    assert len(set(hash_series(batch, ["uri"], None)[0])) == 1


def sampled(rows, **options):
    sink = InfluxdbSink(
        InfluxdbSinkConfig(url="http://h", api="v1", database="d", fields=["bytes"], **options)
    )
    sink.bind(rows.schema)
    sink.sample(rows)
    sink.close()


def test_too_many_series_are_foreseen_from_a_sample_and_the_tag_is_named():
    start = pa.array([1_767_225_600_000_000] * 5000, pa.timestamp("us", tz="UTC"))
    rows = pa.table(
        {
            "end_time": start,
            "action": ["accept", "reject"] * 2500,
            "src_addr": [f"10.0.{n // 250}.{n % 250}" for n in range(5000)],
            "bytes": range(5000),
            "source_uri": ["a"] * 5000,
            "source_pos": range(5000),
        }
    )
    sampled(rows, tags=["action"], max_series=10)
    with pytest.raises(ConfigError, match="src_addr") as caught:
        sampled(rows, tags=["action", "src_addr"], max_series=100_000)
    assert caught.value.code == "too_many_series"
    assert "`src_addr` a field" in caught.value.hint
    sampled(rows, tags=["action", "src_addr"], max_series=None)


def test_a_sample_in_which_all_series_come_again_holds_all_of_them():
    rows = pa.table({"a": [f"v{n % 50}" for n in range(5000)]})
    assert estimate(rows, ["a"], None) == (50, {"a": 50})
    assert estimate(rows.slice(0, 0), ["a"], None) == (0, {})
