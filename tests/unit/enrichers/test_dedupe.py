"""dedupe: redeliveries go, rows that are rightly equal stay, checked against a plain model."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import ConfigError, EpochId, TaskId
from ktrans.enrichers.dedupe import IDENTITY, DedupeEnricher, DedupeEnricherConfig
from ktrans.enrichers.hashes.hash_sets import Hashes, HashSet
from ktrans.enrichers.hashes.hashing import hash_column
from ktrans.flow.schema import FLOW_SCHEMA, TEXT, project
from tests.examples import examples

TASK = TaskId(EpochId("p", 1), 0)
SCHEMA = project([*IDENTITY, "source_uri", "source_pos"])


def fresh():
    enricher = DedupeEnricher(DedupeEnricherConfig())
    enricher.bind(SCHEMA)
    return enricher.begin(TASK)


def batch_of(rows):
    """Make a batch from (flow, object, position); the flow's number is in `bytes`."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    data = [
        {
            "provider": "aws",
            "log_type": "aws.vpc",
            "src_addr": "10.0.0.1",
            "dst_addr": "10.0.0.2",
            "src_port": 5,
            "protocol": 6,
            "start_time": start,
            "bytes": flow,
            "source_uri": uri,
            "source_pos": pos,
        }
        for flow, uri, pos in rows
    ]
    return pa.RecordBatch.from_pylist(data, schema=SCHEMA)


def kept(batches):
    enricher = fresh()
    out = [enricher.apply(batch) for batch in batches]
    assert all(batch.schema.equals(SCHEMA, check_metadata=True) for batch in out)
    return [
        (row["bytes"], row["source_uri"], row["source_pos"])
        for batch in out
        for row in batch.to_pylist()
    ]


def test_a_row_in_a_second_object_is_dropped():
    assert kept([batch_of([(1, "a", 1), (2, "a", 2), (1, "b", 1), (3, "b", 2)])]) == [
        (1, "a", 1), (2, "a", 2), (3, "b", 2),
    ]  # fmt: skip


def test_equal_rows_of_one_object_stay_and_are_matched_one_to_one():
    first = [(1, "a", 1), (1, "a", 2)]
    second = [(1, "b", 1), (1, "b", 2), (1, "b", 3)]
    expected = [*first, (1, "b", 3)]
    assert kept([batch_of(first + second)]) == expected
    assert kept([batch_of([row]) for row in first + second]) == expected


def test_a_replayed_position_is_dropped():
    rows = [(1, "a", 1), (2, "a", 2)]
    assert kept([batch_of(rows), batch_of(rows)]) == rows
    assert kept([batch_of(rows + rows)]) == rows


def test_rows_without_a_position_are_never_replays():
    rows = [(1, "a", None), (1, "a", None)]
    assert kept([batch_of(rows)]) == rows


def test_the_capture_point_is_the_interface_and_the_reporter():
    batch = batch_of([(1, "a", 1), (1, "b", 1), (1, "c", 1), (1, "d", 1)])
    at = batch.schema.get_field_index
    batch = batch.set_column(
        at("interface_id"), SCHEMA.field("interface_id"), pa.array(["i", "i", None, None], TEXT)
    )
    batch = batch.set_column(
        at("reporter"), SCHEMA.field("reporter"),
        pa.array(["source", "destination", "source", "destination"], TEXT),
    )  # fmt: skip
    assert [uri for _, uri, _ in kept([batch])] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "column",
    ["action", "action_reason", "direction", "reporter", "rule", "acl_id", "log_type", "log_status",
     "packets_rev", "bytes_rev", "packets_dropped", "bytes_dropped", "tcp_flags", "instance_id",
     "vpc_id", "subnet_id", "src_pkt_addr", "dst_pkt_addr"],
)  # fmt: skip
def test_records_that_differ_in_one_column_are_not_the_same(column):
    rows = batch_of([(1, "a", 1), (1, "b", 1), (1, "c", 1)]).to_pylist()
    for row, number in zip(rows, (1, 2, 1), strict=True):
        row["interface_id"] = "i"
        row[column] = f"w{number}" if SCHEMA.field(column).type == TEXT else number
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    assert [uri for _, uri, _ in kept([batch])] == ["a", "b"]


def model(batches):
    """Say the same in plain Python."""
    positions, counts, seen, result = set(), {}, set(), []
    for rows in batches:
        for flow, uri, pos in rows:
            if (uri, pos) in positions:
                continue
            positions.add((uri, pos))
            ordinal = counts.get((flow, uri), 0)
            counts[flow, uri] = ordinal + 1
            if (flow, ordinal) not in seen:
                seen.add((flow, ordinal))
                result.append((flow, uri, pos))
    return result


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(1, 12)),
            max_size=25,
        ),
        max_size=6,
    )
)
@settings(max_examples=examples(50), deadline=None)
def test_agrees_with_a_plain_model(batches):
    assert kept([batch_of(rows) for rows in batches]) == model(batches)


def test_one_row_many_times_over_many_batches(monkeypatch):
    """Counting equal rows does not go through all earlier ones: it searches by halves."""
    looked_up = []
    has = DedupeEnricher._has

    def counted(self, keys, number):
        looked_up.append(len(keys))
        return has(self, keys, number)

    monkeypatch.setattr(DedupeEnricher, "_has", counted)
    enricher = fresh()
    size = 50_000
    base = batch_of([(1, "a", 1)]).take(pa.array(np.zeros(size, np.int64)))
    at = base.schema.get_field_index("source_pos")
    for i in range(10):
        positions = pa.array(np.arange(size) + i * size + 1)
        assert enricher.apply(base.set_column(at, SCHEMA.field(at), positions)).num_rows == size
    assert sum(looked_up) < 10 * 2 * 20  # batches, and twice the logarithm of half a million
    other = base.set_column(at + 0, SCHEMA.field(at), pa.array(np.arange(size) + 1)).set_column(
        at - 1, SCHEMA.field(at - 1), pa.array(["b"] * size, TEXT)
    )
    assert SCHEMA.field(at - 1).name == "source_uri"
    assert enricher.apply(other).num_rows == 0


def test_memory_is_32_bytes_a_row():
    enricher = fresh()
    size, rounds = 20_000, 5
    for i in range(rounds):
        rows = [(flow, f"o{i}", flow) for flow in range(i * size + 1, (i + 1) * size + 1)]
        enricher.apply(batch_of(rows))
    hashes = 16 * (len(enricher._kept) + len(enricher._counted))
    bitmaps = sum(chunk.nbytes for chunk in enricher._positions.chunks.values())
    assert hashes + bitmaps <= 33 * size * rounds


def test_each_task_begins_anew():
    enricher = DedupeEnricher(DedupeEnricherConfig())
    enricher.bind(SCHEMA)
    batch = batch_of([(1, "a", 1), (2, "a", 2)])
    for _ in range(2):
        assert enricher.begin(TASK).apply(batch).num_rows == 2


def test_every_flow_column_is_welcome_and_lineage_is_needed():
    enricher = DedupeEnricher(DedupeEnricherConfig())
    assert enricher.bind(FLOW_SCHEMA).equals(FLOW_SCHEMA)
    assert set(enricher.needs()) <= set(FLOW_SCHEMA.names)
    with pytest.raises(ConfigError, match="no column 'source_uri'"):
        enricher.bind(pa.schema([("src_addr", TEXT)]))


def sorted_hashes(rng, count):
    high = np.sort(rng.integers(0, 2**64, count, dtype=np.uint64))
    return Hashes(high, rng.integers(0, 2**64, count, dtype=np.uint64))


def test_hash_set_tells_hashes_apart_that_share_a_half():
    rng = np.random.default_rng(0)
    known = HashSet()
    batches = [sorted_hashes(rng, 1000) for _ in range(20)]
    for batch in batches:
        assert not known.contains(batch).any()
        known.add(batch)
    assert len(known) == 20_000
    for batch in batches:
        assert known.contains(batch).all()
        other = Hashes(batch.high, batch.low + np.uint64(1))
        assert not known.contains(other).any()
        known.add(other)
    assert all(known.contains(batch).all() for batch in batches)


@pytest.mark.parametrize(
    "texts", [["", "a", "ab", "a\0", "abcdefgh", "abcdefghi", "x" * 65, "x" * 66]]
)
def test_hashes_of_texts_do_not_depend_on_their_neighbours(texts):
    together = hash_column(pa.array(texts), 7)
    assert len(set(together.tolist())) == len(texts)
    for text, value in zip(texts, together, strict=True):
        assert hash_column(pa.array([text]), 7)[0] == value
        assert hash_column(pa.array([None, text], TEXT), 7)[1] == value
    assert not set(hash_column(pa.array(texts), 8).tolist()) & set(together.tolist())


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.float32(), pa.decimal128(12, 3)], ids=["double", "float", "decimal"]
)
def test_numbers_that_differ_behind_the_point_are_different(kind):
    batch = batch_of([(0, "a", 1), (0, "b", 1), (0, "c", 1), (0, "d", 1)])
    sizes = pa.array([1.25, 1.75, None, 1.25]).cast(kind)
    at = batch.schema.get_field_index("bytes")
    batch = batch.set_column(at, pa.field("bytes", kind), sizes)
    enricher = DedupeEnricher(DedupeEnricherConfig())
    enricher.bind(batch.schema)
    out = enricher.begin(TASK).apply(batch)
    assert out.column("source_uri").to_pylist() == ["a", "b", "c"]


def test_both_zeros_are_one_number():
    assert len(set(hash_column(pa.array([0.0, -0.0]), 1).tolist())) == 1
