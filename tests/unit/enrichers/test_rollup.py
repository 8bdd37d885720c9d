"""rollup by itself: what each aggregate says, against DuckDB; windows, weights, top, state."""

import datetime as dt
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.api import (
    ConfigError,
    EpochContext,
    EpochId,
    RunError,
    StateError,
    StateSnapshot,
    TaskId,
)
from ktrans.enrichers.rollup import RollupEnricher, RollupEnricherConfig
from ktrans.enrichers.totals import gather, rows_to_totals
from ktrans.enrichers.totals import state as stored_state
from ktrans.testing.epochs import Epochs
from tests.examples import examples

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SCHEMA = pa.schema(
    [
        ("start_time", pa.timestamp("us", tz="UTC")),
        ("end_time", pa.timestamp("ms", tz="UTC")),
        ("group", pa.dictionary(pa.int32(), pa.string())),
        ("port", pa.int32()),
        ("inside", pa.bool_()),
        ("peer", pa.string()),
        ("bytes", pa.int64()),
        ("packets", pa.int64()),
        ("rtt", pa.float64()),
        ("sample_weight", pa.int64()),
        ("log_status", pa.string()),
    ]
)
ALL = {
    "bytes": "sum",
    "packets": "sum",
    "flows": "count",
    "timed": {"count": "rtt"},
    "smallest": {"min": "bytes"},
    "largest": {"max": "bytes"},
    "last": {"max": "start_time"},
    "average": {"mean": "bytes"},
    "peers": {"distinct": "peer"},
    "ports": {"distinct": "port"},
    "about": {"approx_distinct": "peer"},
}


def task(number=1):
    return TaskId(EpochId("p", number), 0)


def row(seconds, group="a", size=10, **more):
    start = None if seconds is None else BEGIN + dt.timedelta(seconds=seconds)
    found = {"start_time": start, "group": group, "bytes": size, "packets": 1, "peer": "x"}
    return {**found, "log_status": "OK", **more}


def batch(rows, schema=SCHEMA):
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def make(**options):
    enricher = RollupEnricher(RollupEnricherConfig(**{"window": "1m", **options}))
    enricher.schema = enricher.bind(SCHEMA)
    return enricher


class Store:
    """Stands in for the state store: keeps what a change says."""

    def __init__(self):
        self.parts, self.version = [], 0

    def take(self, change, number):
        self.parts = [*([] if change.whole else self.parts), *change.parts]
        self.version = number

    def epoch(self, enricher, batches, last=False, afresh=True):
        """Run an epoch, by an enricher that has to read its state back if `afresh`."""
        number = self.version + 1
        if afresh:
            schema = enricher._input
            enricher = RollupEnricher(enricher.config)
            enricher.bind(schema)
        run = enricher.resume(
            task(number),
            StateSnapshot(self.version, lambda: self.parts),
            EpochContext(last=last, number=number),
        )
        out = [run.apply(one) for one in batches]
        assert not any(one.num_rows for one in out)
        out = [r for one in run.finish() for r in one.to_pylist()]
        self.take(run.state_update(), number)
        self.account, self.refused = run.accounting(), run.refused()
        return out


def roll(rows, sizes=(), **options):
    """Return all totals of rows that come in batches of these sizes."""
    run = make(**options).begin(task())
    whole, start = batch(rows), 0
    for size in (*sizes, len(rows)):
        run.apply(whole.slice(start, size))
        start += size
    return [r for one in run.finish() for r in one.to_pylist()]


# -- against DuckDB -------------------------------------------------------------------------------

VALUES = st.fixed_dictionaries(
    {
        "start_time": st.one_of(
            st.none(), st.integers(-200, 400).map(lambda s: BEGIN + dt.timedelta(seconds=s))
        ),
        "end_time": st.just(BEGIN + dt.timedelta(seconds=1000)),
        "group": st.sampled_from([None, "a", "b", "ä,='\n"]),
        "port": st.one_of(st.none(), st.integers(0, 3)),
        "inside": st.one_of(st.none(), st.booleans()),
        "peer": st.one_of(st.none(), st.integers(0, 9).map(str)),
        "bytes": st.one_of(st.none(), st.integers(0, 10**12)),
        "packets": st.one_of(st.none(), st.integers(0, 9)),
        "rtt": st.one_of(st.none(), st.just(1.5)),
        "sample_weight": st.just(1),
        "log_status": st.sampled_from(["OK", None]),
    }
)


def by_duckdb(rows, group_by):
    table = pa.Table.from_batches([batch(rows)])
    groups = "".join(f'"{name}", ' for name in group_by)
    with duckdb.connect() as db:
        db.execute("set timezone='UTC'")
        db.register("t", table)
        answer = db.execute(
            f"""
            with timed as (select *, epoch_us(coalesce(start_time, end_time)) as us from t)
            select {groups} us - ((us % 60000000) + 60000000) % 60000000 as w,
              sum(bytes)::bigint, sum(packets)::bigint, count(*), count(rtt), min(bytes),
              max(bytes), epoch_us(max(start_time)), avg(bytes), count(distinct peer),
              count(distinct port), count(distinct peer)
            from timed group by all
            """
        ).fetchall()
    return sorted(answer, key=str)


def as_duckdb(rows, group_by):
    def micros(time):
        return (
            None
            if time is None
            else (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // (dt.timedelta(microseconds=1))
        )

    found = []
    for r in rows:
        assert r["window_end"] - r["window_start"] == dt.timedelta(minutes=1)
        values = {**r, "last": micros(r["last"])}
        found.append(
            (*(r[name] for name in group_by), micros(r["window_start"]),
             *(values[name] for name in ALL))
        )  # fmt: skip
    return sorted(found, key=str)


@given(
    st.lists(VALUES, min_size=1, max_size=40),
    st.lists(st.integers(1, 12), max_size=4),
    st.sampled_from([(), ("group",), ("group", "port", "inside")]),
)
@settings(max_examples=examples(30), deadline=None)
def test_every_aggregate_is_what_duckdb_says(rows, sizes, group_by):
    ours = roll(rows, sizes, group_by=group_by, aggregates=ALL)
    assert as_duckdb(ours, group_by) == by_duckdb(rows, group_by)


@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=12), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.integers(1, 40),
)
@settings(max_examples=examples(12), deadline=None)
def test_state_read_back_gives_the_same_as_state_kept_in_memory(epochs, afresh, slack):
    """Whatever the log of totals was cut into, and whenever it was put together anew."""
    options = {"group_by": ("group",), "aggregates": ALL, "lateness": "1d"}
    seen = []
    before = stored_state.SLACK_ROWS, stored_state.LEAST_ROWS
    for again in (afresh, [False] * 6):
        enricher, store, rows = make(**options), Store(), []
        stored_state.SLACK_ROWS, stored_state.LEAST_ROWS = slack, 1
        try:
            for epoch, fresh in zip(epochs, again, strict=False):
                rows += store.epoch(enricher, [batch(epoch)], afresh=fresh)
            rows += store.epoch(enricher, [], last=True)
        finally:
            stored_state.SLACK_ROWS, stored_state.LEAST_ROWS = before
        seen.append(rows)
    assert seen[0] == seen[1]
    own = [r for r in seen[0] if r["revision"] is None]
    flat = [r for epoch in epochs for r in epoch]
    if len(own) == len(seen[0]):
        assert as_duckdb(own, ("group",)) == by_duckdb(flat, ("group",))
    assert sum(r["flows"] for r in seen[0]) == len(flat)


@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=14), min_size=1, max_size=4),
    st.lists(st.integers(0, 14), max_size=4),
    st.sampled_from(
        [
            {"lateness": "1d", "aggregates": ALL},
            {"lateness": "0s", "aggregates": ALL},
            {"lateness": "0s", "late": "reject"},
            {"lateness": "1m", "emit": "running"},
            {"lateness": "1m", "top": {"limit": 1, "by": "bytes"}},
        ]
    ),
    st.sampled_from([3, 1 << 20]),
)
@settings(max_examples=examples(40), deadline=None)
def test_any_tasks_give_the_same_as_one_and_as_duckdb(epochs, cuts, options, pending):
    """Over several epochs, with windows that close, rows that are late, and tasks that pack early."""
    group_by = ("group", "port")
    before = gather.PENDING_ROWS
    alone, shared = (Epochs(make(group_by=group_by, **options)) for _ in range(2))
    found = []
    for number, rows in enumerate([*epochs, []]):
        last, whole = number == len(epochs), batch(rows)
        edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
        one = alone.run([whole], last=last)
        gather.PENDING_ROWS = pending
        try:
            tasks = [
                [whole.slice(row, 1) for row in range(start, end)] for start, end in pairwise(edges)
            ]
            several = shared.run([], *tasks, last=last)
        finally:
            gather.PENDING_ROWS = before
        assert several.rows == one.rows
        assert several.accounting == one.accounting
        assert several.update.open == one.update.open
        assert sorted(map(str, several.refused)) == sorted(map(str, one.refused))
        found += several.rows
    flat = [r for rows in epochs for r in rows]
    if options["lateness"] == "1d" and all(r["revision"] is None for r in found):
        assert as_duckdb(found, group_by) == by_duckdb(flat, group_by)
    if options == {"lateness": "0s", "aggregates": ALL}:
        assert sum(r["flows"] for r in found) == len(flat)
        assert sum(r["bytes"] or 0 for r in found) == sum(r["bytes"] or 0 for r in flat)


def test_the_limit_of_totals_counts_those_of_all_tasks_together():
    rows = batch([row(0, f"g{i}") for i in range(6)])
    halves = [rows.slice(0, 3)], [rows.slice(3, 3)]
    assert len(Epochs(make(group_by=["group"], max_groups=6)).run(*halves, last=True).rows) == 6
    assert (
        len(Epochs(make(group_by=["group"], max_groups=3)).run(*[halves[0]] * 2, last=True).rows)
        == 3
    )
    with pytest.raises(RunError) as caught:
        Epochs(make(group_by=["group"], max_groups=5)).run(*halves, last=True)
    assert caught.value.code == "too_many_groups"


def test_large_batches_are_summed_up_in_pieces(monkeypatch):
    """The same whether batches are summed up by themselves or not, and however often merged."""
    rng = np.random.default_rng(1)
    rows = [row(int(s), str(g)) for s, g in rng.integers(0, 300, (2000, 2))]
    whole = roll(rows, group_by=["group"], aggregates=ALL)
    monkeypatch.setattr(rows_to_totals, "WORTH_IT", 0.0)
    monkeypatch.setattr("ktrans.enrichers.totals.gather.PENDING_ROWS", 64)
    assert roll(rows, [50] * 30, group_by=["group"], aggregates=ALL) == whole


# -- windows, late rows, what cannot be placed ----------------------------------------------------


def test_windows_are_left_closed_and_begin_at_multiples_of_their_length():
    rows = [row(0), row(299.999999), row(300), row(-0.000001)]
    found = roll(rows, window="5m")
    starts = [(r["window_start"] - BEGIN).total_seconds() for r in found]
    assert starts == [-300, 0, 300]
    assert [r["flows"] for r in found] == [1, 2, 1]


def test_a_window_closes_when_a_row_is_late_enough_after_its_end():
    store, enricher = Store(), make(lateness="30s")
    assert store.epoch(enricher, [batch([row(0), row(60 + 29)])]) == []
    (closed,) = store.epoch(enricher, [batch([row(60 + 30)])])
    assert (closed["window_start"], closed["flows"]) == (BEGIN, 1)


def test_rows_that_are_late_for_their_epoch_only_are_not_late():
    """What is late is decided by earlier epochs, so the order within one does not matter."""
    store, enricher = Store(), make(lateness="0s")
    rows = store.epoch(enricher, [batch([row(600)]), batch([row(0), row(1)])])
    assert [(r["flows"], r["revision"]) for r in rows] == [(2, None)]
    assert store.account.late == 0


def test_late_rows_are_summed_up_by_epoch():
    store, enricher = Store(), make(lateness="0s", group_by=["group"])
    store.epoch(enricher, [batch([row(0), row(600)])])
    rows = store.epoch(enricher, [batch([row(0, "a", 3), row(1, "a", 4), row(1, "b", 5)])])
    assert [(r["group"], r["bytes"], r["revision"]) for r in rows] == [("a", 7, 2), ("b", 5, 2)]
    assert store.account.closed == (3, 12, 3)
    assert store.account.late == 3


def test_rejected_late_rows_are_given_back_as_they_came():
    store, enricher = Store(), make(lateness="0s", late="reject")
    store.epoch(enricher, [batch([row(0), row(600)])])
    assert store.epoch(enricher, [batch([row(3, "b", 7)])]) == []
    (refused,) = store.refused
    assert (refused.reason, refused.rows.to_pylist()[0]["bytes"]) == ("late", 7)
    assert store.account.closed == (0, 0, 0)


def test_rows_are_accounted_for():
    store, enricher = Store(), make(lateness="0s")
    store.epoch(enricher, [batch([row(0, size=5), row(70, size=6), row(200, size=7)])])
    assert (store.account.closed, store.account.held) == ((2, 11, 2), (1, 7, 1))
    store.epoch(enricher, [], last=True)
    assert (store.account.closed, store.account.held) == ((1, 7, 1), (-1, -7, -1))


def test_rows_that_are_no_flows_are_left_out_but_those_with_counters_are_not():
    empty = {"bytes": None, "packets": None}
    rows = [row(0, log_status="NODATA", **empty), row(1, log_status="SKIPDATA", **empty),
            row(2, log_status="NODATA"), row(3)]  # fmt: skip
    store, enricher = Store(), make()
    (total,) = store.epoch(enricher, [batch(rows)], last=True)
    assert total["flows"] == 2
    assert store.account.filtered == (2, 0, 0)


def test_running_totals_come_out_when_they_change():
    store, enricher = Store(), make(emit="running", group_by=["group"])
    first = store.epoch(enricher, [batch([row(0, "a"), row(0, "b")])])
    second = store.epoch(enricher, [batch([row(1, "b")])])
    assert [(r["group"], r["flows"]) for r in first] == [("a", 1), ("b", 1)]
    assert [(r["group"], r["flows"]) for r in second] == [("b", 2)]
    assert store.epoch(enricher, [], last=True) == []


# -- weights, top, text ---------------------------------------------------------------------------


def test_weights_of_sampled_rows_count():
    rows = [row(0, size=10, sample_weight=100), row(0, size=20, sample_weight=None)]
    aggregates = {"bytes": "sum", "flows": "count", "mean": {"mean": "bytes"}, "largest": {
        "max": "bytes"}, "peers": {"distinct": "peer"}}  # fmt: skip
    (total,) = roll(rows, aggregates=aggregates)
    assert (total["bytes"], total["flows"], total["largest"]) == (1020, 101, 20)
    assert total["mean"] == pytest.approx(1020 / 101)
    assert total["peers"] == 1
    (total,) = roll(rows, aggregates=aggregates, weight=None)
    assert (total["bytes"], total["flows"]) == (30, 2)


def test_means_of_sums_that_doubles_do_not_hold():
    (total,) = roll([row(0, size=2**53), row(1, size=1)], aggregates={"mean": {"mean": "bytes"}})
    assert total["mean"] == float(2**52)


def test_the_ledger_counts_weighted_rows_once():
    store, enricher = Store(), make()
    store.epoch(enricher, [batch([row(0, size=10, sample_weight=100)])], last=True)
    assert store.account.closed == (1, 10, 1)


@given(
    st.lists(VALUES, min_size=1, max_size=60),
    st.integers(1, 4),
    st.sampled_from([(), ("inside",)]),
)
@settings(max_examples=examples(25), deadline=None)
def test_the_rest_beside_the_top_keeps_the_sums(rows, limit, within):
    options = {"group_by": ("group", "port", "inside"), "aggregates": ALL}
    every = roll(rows, **options)
    few = roll(rows, **options, top={"limit": limit, "by": "bytes", "within": within})
    places = {}
    for r in few:
        key = (r["window_start"], *(r[name] for name in within))
        places.setdefault(key, []).append(r)
    for key, totals in places.items():
        same = [r for r in every if (r["window_start"], *(r[n] for n in within)) == key]
        for name in ("bytes", "packets", "flows"):
            assert sum(r[name] or 0 for r in totals) == sum(r[name] or 0 for r in same)
        largest = sorted((r["bytes"] or 0 for r in same), reverse=True)[:limit]
        named = sorted((r["bytes"] or 0 for r in totals if r["group"] != "other"), reverse=True)
        assert named == largest
        assert len(totals) == min(limit + 1, len(same))


def test_a_group_of_the_name_other_is_put_together_with_the_rest():
    rows = [row(0, "other", 100), row(0, "a", 10), row(0, "b", 5)]
    (total,) = roll(rows, group_by=["group"], top={"limit": 1, "by": "bytes"})
    assert (total["group"], total["bytes"]) == ("other", 115)


def test_distinct_values_of_the_rest_are_counted_once():
    rows = [row(0, str(i), 10 - i, peer="same") for i in range(5)]
    aggregates = {"bytes": "sum", "peers": {"distinct": "peer"}}
    found = roll(rows, group_by=["group"], aggregates=aggregates, top={"limit": 2, "by": "bytes"})
    assert [(r["group"], r["peers"]) for r in found] == [("0", 1), ("1", 1), ("other", 1)]


def test_an_empty_text_counts_as_null_among_groups():
    found = roll([row(0, ""), row(0, None)], group_by=["group"])
    assert [(r["group"], r["flows"]) for r in found] == [(None, 2)]


def test_sketches_are_near_the_truth_and_do_not_depend_on_the_order():
    rows = [row(0, peer=f"10.0.{i // 250}.{i % 250}") for i in range(20_000)]
    aggregates = {"about": {"approx_distinct": "peer"}}
    (one,) = roll(rows, aggregates=aggregates)
    (two,) = roll(rows[::-1], [997] * 20, aggregates=aggregates)
    assert one == two
    assert one["about"] == pytest.approx(20_000, rel=0.05)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"group_by": ["grup"]}, "group_by"),
        ({"group_by": ["rtt"]}, "group_by"),
        ({"aggregates": {"bytez": "sum"}}, "aggregates.bytez"),
        ({"aggregates": {"x": {"sum": "peer"}}}, "aggregates.x"),
        ({"time": ["began"]}, "time"),
        ({"time": ["bytes"]}, "time"),
        ({"weight": "rtt"}, "weight"),
    ],
)
def test_columns_that_do_not_fit_are_named_with_their_option(options, field):
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"window": "five"},
        {"window": "0s"},
        {"aggregates": {}},
        {"aggregates": {"a": {"sum": "x", "max": "y"}}},
        {"group_by": ["bytes"]},
        {"group_by": ["a", "a"]},
        {"top": {"limit": 3, "by": "nothing"}},
        {"top": {"limit": 3, "by": "bytes", "within": ["b"]}},
        {"top": {"limit": 3, "by": "bytes"}, "emit": "running"},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        RollupEnricherConfig(**{"window": "1m", **options})


@pytest.mark.parametrize("nulls", [0, 7])
def test_the_top_of_a_window_are_its_largest_groups(nulls):
    """Also beside rows without a group, which Arrow numbers in an order of its own."""
    rng, expected = np.random.default_rng(3), {}
    rows = [
        row(int(second), None if nulls and at % nulls == 0 else f"g{at}", size=int(size))
        for at, (second, size) in enumerate(
            zip(rng.integers(0, 300, 1000), rng.permutation(1000), strict=True)
        )
    ]
    for one in rows:
        sums = expected.setdefault(one["start_time"].replace(second=0), {})
        sums[one["group"]] = sums.get(one["group"], 0) + one["bytes"]
    found = roll(rows, group_by=["group"], top={"limit": 3, "by": "bytes"})
    for window, sums in expected.items():
        largest = dict(sorted(sums.items(), key=lambda item: -item[1])[:3])
        rest = sum(sums.values()) - sum(largest.values())
        own = {r["group"]: r["bytes"] for r in found if r["window_start"] == window}
        assert own == {**largest, "other": rest}


def test_sums_that_would_wrap_around_stop_the_run():
    rows = [row(0, size=2**62), row(0, size=2**62)]
    with pytest.raises(RunError) as caught:
        roll(rows)
    assert caught.value.code == "sum_too_large"
    with pytest.raises(RunError):
        roll([row(0, size=2**62, sample_weight=4)])


def test_damaged_state_is_noticed():
    store, enricher = Store(), make()
    store.epoch(enricher, [batch([row(0), row(1)])])
    store.epoch(enricher, [batch([row(2)])])
    store.parts = store.parts[1:]
    with pytest.raises(StateError) as caught:
        store.epoch(enricher, [])
    assert caught.value.code == "rollup_damaged"


def test_what_an_epoch_stores_does_not_grow_with_what_is_open():
    store, enricher = Store(), make(group_by=["port"], lateness="1d")
    store.epoch(enricher, [batch([row(0, port=i) for i in range(40_000)])])
    large = sum(map(len, store.parts))
    for _ in range(3):
        before = sum(map(len, store.parts))
        store.epoch(enricher, [batch([row(0, port=5)])])
        assert sum(map(len, store.parts)) - before < large / 10


def test_approx_distinct_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        make(aggregates={"peers": {"approx_distinct": "peer"}})
    assert (caught.value.code, caught.value.field) == ("package_missing", "aggregates.peers")
    assert "datasketches" in caught.value.hint


def test_the_order_and_the_names_of_columns_may_change_while_windows_are_open():
    store = Store()
    one = {"group_by": ["group", "port"], "aggregates": {"bytes": "sum", "n": "count",
           "peers": {"distinct": "peer"}, "about": {"approx_distinct": "peer"}}}  # fmt: skip
    two = {"group_by": ["port", "group"], "aggregates": {"about": {"approx_distinct": "peer"},
           "peers": {"distinct": "peer"}, "rows": "count", "total": {"sum": "bytes"}}}  # fmt: skip
    store.epoch(make(**one), [batch([row(0, "a", 5, port=1)])])
    (total,) = store.epoch(make(**two), [batch([row(1, "a", 6, port=1)])], last=True)
    assert (total["port"], total["group"], total["total"], total["rows"]) == (1, "a", 11, 2)
    assert total["peers"] == total["about"] == 1


@pytest.mark.parametrize("kind", [pa.float64(), pa.string()])
def test_counters_that_are_no_whole_numbers_are_an_error_of_the_configuration(kind):
    at = SCHEMA.get_field_index("bytes")
    config = RollupEnricherConfig(window="1m", aggregates={"flows": "count"})
    with pytest.raises(ConfigError, match="'bytes' holds") as error:
        RollupEnricher(config).bind(SCHEMA.set(at, pa.field("bytes", kind)))
    assert error.value.code == "column_type"
