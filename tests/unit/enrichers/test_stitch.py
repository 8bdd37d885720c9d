"""stitch: which rows are joined, what the joined row says, and that nothing is lost."""

from __future__ import annotations

import datetime as dt
import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import ConfigError, EpochId, TaskId
from ktrans.enrichers.stitch import StitchEnricher, StitchEnricherConfig
from ktrans.flow.schema import FLOW_SCHEMA
from tests.examples import examples

TASK = TaskId(EpochId("p", 1), 0)
DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CLIENT, SERVER = ("10.0.0.1", 40_000), ("10.0.0.2", 443)


def at(seconds):
    return None if seconds is None else DAY + dt.timedelta(seconds=seconds)


def record(source, destination, start, end=None, **more):
    return {
        "provider": "aws",
        "log_type": "aws.vpc",
        "src_addr": source[0],
        "src_port": source[1],
        "dst_addr": destination[0],
        "dst_port": destination[1],
        "protocol": 6,
        "interface_id": "eni-1",
        "account_id": "1",
        "action": "accept",
        "log_status": "OK",
        "packets": 1,
        "bytes": 100,
        "start_time": at(start),
        "end_time": at(end),
        **more,
    }


def there(start, end=None, **more):
    return record(CLIENT, SERVER, start, end, **more)


def back(start, end=None, **more):
    return record(SERVER, CLIENT, start, end, **more)


def run(rows, sizes=(), schema=FLOW_SCHEMA, **options):
    """Stitch rows cut into batches of `sizes`; `source_pos` is a row's number."""
    rows = [{**row, "source_pos": number} for number, row in enumerate(rows)]
    whole = pa.RecordBatch.from_pylist(rows, schema=schema)
    enricher = StitchEnricher(StitchEnricherConfig(**options))
    assert enricher.bind(whole.schema) == whole.schema
    held = enricher.begin(TASK)
    out, done = [], 0
    for size in (*sizes, len(rows)):
        out.append(held.apply(whole.slice(done, size)))
        done += size
    out += held.finish()
    for batch in out:
        assert batch.schema.equals(whole.schema, check_metadata=True)
        batch.validate(full=True)
    return [row for batch in out for row in batch.to_pylist()]


def joined(rows, **options):
    """Return for each row that came out its number, and the bytes back."""
    return [(row["source_pos"], row["bytes_rev"]) for row in run(rows, **options)]


def test_a_question_and_its_answer_become_one_row():
    question = there(10, 20, packets=3, bytes=300, tcp_flags=2, rule="r", packets_dropped=1)
    answer = back(5, 30, packets=2, bytes=2000, tcp_flags=18, rule="s", packets_dropped=2)
    (row,) = run([answer, question])
    expected = {
        **question,
        "packets_rev": 2,
        "bytes_rev": 2000,
        "packets_dropped": 3,
        "start_time": at(5),
        "end_time": at(30),
        "source_pos": 1,
    }
    assert {name: value for name, value in row.items() if value is not None} == expected


def test_unknown_counters_stay_unknown():
    (row,) = run([there(0, bytes=None), back(0, packets=None)])
    assert (row["bytes"], row["bytes_rev"], row["packets"], row["packets_rev"]) == (
        None,
        100,
        1,
        None,
    )
    assert row["packets_dropped"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"interface_id": "eni-2"},
        {"account_id": "2"},
        {"action": "reject"},
        {"protocol": 17},
        {"log_type": "aws.tgw"},
        {"dst_port": 40_001},
        {"bytes_rev": 0},
        {"log_status": "NODATA"},
        {"start_time": None},
        {"src_addr": None},
        {"start_time": at(12), "end_time": at(20)},
    ],
    ids=str,
)
def test_what_keeps_rows_apart(change):
    rows = [there(0, 10), {**back(0, 10), **change}]
    assert [row["source_pos"] for row in run(rows)] == [0, 1]


def test_the_slack_is_exact():
    rows = [there(0, 10), back(15, 20)]
    assert len(run(rows, slack=5)) == 1
    assert len(run(rows, slack=4.999999)) == 2


def test_rows_without_a_capture_point_are_left_alone_unless_another_is_named():
    rows = [{**row, "interface_id": None} for row in (there(0), back(0))]
    assert len(run(rows)) == 2
    assert len(run(rows, capture_point=["account_id"])) == 1
    instance = [{**row, "instance_id": "i-1"} for row in rows]
    assert len(run(instance)) == 1


def test_a_flow_from_an_end_to_itself_is_left_alone():
    row = record(CLIENT, CLIENT, 0, 10)
    assert len(run([row, row])) == 2


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        (there(0, tcp_flags=2), back(0, tcp_flags=18), 0),
        (back(0, tcp_flags=3), there(0, tcp_flags=19), 0),
        (back(0), there(0), 1),
        (record(("a", 50_000), ("b", 8_080), 9), record(("b", 8_080), ("a", 50_000), 9), 0),
        (record(("a", 8_080), ("b", 9_090), 3), record(("b", 9_090), ("a", 8_080), 2), 1),
        (record(("a", 8_080), ("b", 9_090), 3), record(("b", 9_090), ("a", 8_080), 3), 1),
        (record(("a", None), ("b", None), 3), record(("b", None), ("a", None), 3), 0),
    ],
)
def test_who_is_the_initiator(first, second, winner):
    assert [number for number, _ in joined([first, second])] == [winner]
    assert [number for number, _ in joined([second, first])] == [
        winner if first["src_port"] is None else 1 - winner
    ]


def test_each_window_finds_the_one_next_to_it():
    rows = [there(s, s + 59, bytes=s) for s in (0, 60, 120, 180)]
    rows += [back(s, s + 50, bytes=1000 + s) for s in (3, 62, 185)]
    assert joined(rows) == [(0, 1003), (1, 1062), (2, None), (3, 1185)]


def test_a_missing_window_does_not_shift_those_after_it():
    rows = [back(60 * i, 60 * i + 59, bytes=i) for i in range(20)]
    rows += [there(60 * i + 2, 60 * i + 59) for i in range(20) if i != 3]
    found = joined(rows)
    assert found[0] == (3, None)
    assert [number for _, number in found[1:]] == [i for i in range(20) if i != 3]


def test_a_long_window_is_found_behind_short_ones():
    rows = [there(0, 600), there(1, 2), there(3, 4), back(300, 310)]
    assert joined(rows) == [(0, 100), (1, None), (2, None)]


def test_equal_starts_are_paired_in_the_order_they_came():
    rows = [there(0, bytes=1), there(0, bytes=2), back(0, bytes=3), back(0, bytes=4), back(0)]
    assert joined(rows) == [(0, 3), (1, 4), (4, None)]


def test_many_records_at_even_distances():
    rows = [there(2 * i, 2 * i + 10, bytes=i) for i in range(200)]
    rows += [back(2 * i + 1, 2 * i + 10, bytes=i) for i in range(200)]
    assert joined(rows) == [(i, i) for i in range(200)]


def test_a_run_of_max_rows_is_joined_by_itself():
    rows = [there(0), back(0)] * 3
    assert len(run(rows, max_rows=2)) == 3
    assert len(run(rows, max_rows=3)) == 4
    assert len(run(rows, max_rows=1)) == 6


def test_a_missing_column_is_named():
    enricher = StitchEnricher(StitchEnricherConfig(capture_point=["eni"]))
    with pytest.raises(ConfigError, match="eni") as error:
        enricher.bind(FLOW_SCHEMA)
    assert error.value.field == "capture_point"


def total(rows, name):
    return sum((row.get(name) or 0) + (row.get(f"{name}_rev") or 0) for row in rows)


def window(row):
    start, end = row["start_time"], row["end_time"]
    return start, start if end is None else max(start, end)


def model(rows, slack):
    """Say in plain Python which rows are pairs."""
    groups = {}
    for number, row in enumerate(rows):
        ends = [(row["src_addr"], row["src_port"]), (row["dst_addr"], row["dst_port"])]
        if row["start_time"] is None or row["interface_id"] is None or ends[0] == ends[1]:
            continue
        ordered = sorted(ends, key=str)
        key = (*ordered, row["protocol"], row["interface_id"], row["action"])
        groups.setdefault(key, []).append((window(row), ends == ordered, number))
    pairs = []
    for members in groups.values():
        members.sort(key=lambda member: (member[0][0], member[2]))
        left = []
        for _, run_ in itertools.groupby(members, key=lambda member: member[0][0]):
            together = list(run_)
            sides = [[m for m in together if m[1] is side] for side in (True, False)]
            both = min(map(len, sides))
            pairs += [(a[2], b[2]) for a, b in zip(*sides, strict=False)]
            left += sorted((m for side in sides for m in side[both:]), key=lambda m: m[2])
        candidates = [
            (right[0][0] - early[0][0], early[0][0], -i, j)
            for (i, early), (j, right) in itertools.combinations(enumerate(left), 2)
            if early[1] is not right[1] and right[0][0] <= early[0][1] + slack
        ]
        used = set()
        for _, _, i, j in sorted(candidates):
            if not used & {-i, j}:
                used |= {-i, j}
                pairs.append((left[-i][2], left[j][2]))
    return {frozenset(pair) for pair in pairs}


ENDS = st.sampled_from([CLIENT, SERVER])
RECORDS = st.builds(
    lambda source, other, start, length, **more: record(
        source,
        {CLIENT: SERVER, SERVER: CLIENT}[source] if other else CLIENT,
        start,
        length and start + length,
        **more,
    ),
    ENDS,
    st.sampled_from([True] * 9 + [False]),
    st.integers(0, 25),
    st.sampled_from([None, 0, 1, 5, 20, -3]),
    interface_id=st.sampled_from(["eni-1", "eni-1", "eni-1", "eni-2", None]),
    action=st.sampled_from(["accept", "accept", "accept", None]),
    packets=st.sampled_from([None, 1, 5]),
)


@given(
    st.lists(RECORDS, max_size=40),
    st.sampled_from([0, 1, 4]),
    st.lists(st.integers(0, 15), max_size=6),
)
@settings(max_examples=examples(150), deadline=None)
def test_it_agrees_with_a_plain_model_however_the_rows_are_cut(rows, slack, sizes):
    rows = [{**row, "bytes": 1 << number} for number, row in enumerate(rows)]
    out = run(rows, sizes, slack=slack)
    assert out == run(rows, slack=slack, memory=0)
    for name in ("packets", "bytes"):
        assert total(out, name) == total(rows, name)
    pairs = {
        frozenset((row["source_pos"], row["bytes_rev"].bit_length() - 1))
        for row in out
        if row["bytes_rev"] is not None
    }
    assert pairs == model(rows, dt.timedelta(seconds=slack))
    assert [row["source_pos"] for row in out] == sorted(row["source_pos"] for row in out)
    assert len(out) == len(rows) - len(pairs)
