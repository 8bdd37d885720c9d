"""Bodies of Elasticsearch's bulk API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from ktrans.api import ConfigError
from ktrans.flow.schema import TEXT, TIME
from ktrans.kit.rows.es_bulk import EsBulkFormat, EsBulkFormatConfig

BATCH = pa.record_batch(
    {
        "start_time": pa.array([datetime(2026, 3, 1, 23, 59, tzinfo=UTC)] * 3, TIME),
        "region": pa.array(["eu", 'a"b', None], TEXT),
        "source_uri": pa.array(["mem://a", "mem://a", None], TEXT),
        "source_pos": pa.array([1, 2, 3], pa.int64()),
        "bytes": pa.array([5, None, 7], pa.int64()),
    }
)


def body(batch=BATCH, **options):
    made = EsBulkFormat(EsBulkFormatConfig(**options))
    made.bind(batch.schema)
    encoded = made.encode(batch)
    assert encoded.rows == batch.num_rows
    lines = [json.loads(line) for line in bytes(encoded.data).decode().split("\n")[:-1]]
    return lines[::2], lines[1::2]


def test_each_row_is_an_action_line_and_a_document_line():
    actions, documents = body(leave_out=["source_uri", "source_pos"])
    assert all(set(action) == {"create"} for action in actions)
    assert documents[0] == {"start_time": "2026-03-01T23:59:00.000000Z", "region": "eu", "bytes": 5}
    assert documents[1] == {"start_time": "2026-03-01T23:59:00.000000Z", "region": 'a"b'}


def test_ids_are_the_same_each_time_and_differ_between_rows():
    first, second = (
        [next(iter(action.values())).get("_id") for action in body()[0]] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == 3
    assert first[2] is None  # without a source there is nothing to make an id of


def test_the_index_takes_columns_and_days():
    actions, _ = body(index="flows-{region}-{start_time:%Y.%m.%d}", action="index")
    names = [action["index"]["_index"] for action in actions]
    assert names == ["flows-eu-2026.03.01", 'flows-a"b-2026.03.01', "flows--2026.03.01"]


def test_without_id_columns_elasticsearch_makes_up_ids():
    actions, _ = body(id_columns=[])
    assert actions[0] == {"create": {"_index": "logs-ktrans.flow-default"}}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"id_columns": ["nonsense"]}, "id_columns"),
        ({"id_columns": ["attrs"]}, "id_columns"),
        ({"index": "flows-{nonsense}"}, "index"),
        ({"index": "flows-{start_time}"}, "index"),
        ({"index": "flows-{region:%Y}"}, "index"),
    ],
)
def test_columns_that_do_not_fit_are_errors_before_any_row(options, field):
    with pytest.raises(ConfigError) as error:
        body(**options)
    assert error.value.field == field


@pytest.mark.parametrize("index", ["flows-{", "flows-{start_time:%H%M}", "flows-{region!r}"])
def test_templates_that_are_none_are_refused(index):
    with pytest.raises(ValueError, match="template"):
        EsBulkFormatConfig(index=index)


def test_times_name_rows_too():
    times = pa.array(
        [1_700_000_000_000_000, 1_700_000_060_000_000, None], pa.timestamp("us", "UTC")
    )
    batch = pa.record_batch({"window_start": times, "who": ["a", "a", "a"]})
    made = EsBulkFormat(EsBulkFormatConfig(id_columns=("window_start", "who")))
    made.bind(batch.schema)
    actions = [json.loads(line) for line in bytes(made.encode(batch).data).splitlines()[::2]]
    first, second, none = (action["create"].get("_id") for action in actions)
    assert first != second
    assert first.startswith("1700000000000000-")
    assert none is None
