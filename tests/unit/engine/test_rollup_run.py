"""Rollups under the engine: totals are exact whatever dies when, in any order and any epochs."""

import datetime as dt
import json
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktrans.api import (
    ComponentConfig,
    ConfigErrors,
    Decoded,
    Enricher,
    RetryableError,
    RunError,
    Spec,
    SplitError,
    hookimpl,
)
from ktrans.config.model import SinkEntry
from ktrans.engine.assemble import assemble
from ktrans.engine.observer import Observer
from ktrans.engine.partials import Partials
from ktrans.registry.catalogue import Catalogue
from ktrans.state.snapshots import open_totals
from ktrans.state.store import Store
from ktrans.testing import fakes
from ktrans.testing.fakes import FakeSink
from ktrans.testing.world import Crash
from tests.examples import examples

BEGIN = 1_767_225_600
SCHEMA = pa.schema(
    [
        ("start_time", pa.timestamp("us", tz="UTC")),
        ("group", pa.dictionary(pa.int32(), pa.string())),
        ("peer", pa.string()),
        ("bytes", pa.int64()),
        ("packets", pa.int64()),
        ("source_uri", pa.string()),
        ("source_pos", pa.int64()),
    ]
)


class TimedConfig(fakes.FakeDecoderConfig, type="timed"):
    """Options of the decoder of this test."""


class TimedDecoder(fakes.FakeDecoder):
    """Decodes `bytes packets seconds:group:peer` lines."""

    def schema(self, columns):
        return SCHEMA

    def decode(self, block):
        decoded = super().decode(block)
        rows = decoded.batch.to_pylist()
        names = [row.pop("name").split(":") for row in rows]
        for row, (seconds, group, peer) in zip(rows, names, strict=True):
            row |= {"group": group or None, "peer": peer, "start_time": None}
            if seconds:
                row["start_time"] = dt.datetime.fromtimestamp(BEGIN + int(seconds), dt.UTC)
        batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
        return Decoded(batch, decoded.records, decoded.rejects)


class HoldingConfig(ComponentConfig, type="task"):
    """Options of an enricher that holds the rows of a task back."""


class HoldingEnricher(Enricher[HoldingConfig]):
    """Holds the rows of a task back until its end."""

    drops_rows = True
    scope = "task"

    def bind(self, schema):
        self.schema = schema
        return schema

    def begin(self, task):
        fresh = type(self)(self.config, self.context)
        fresh.held, fresh.schema = [], self.schema
        return fresh

    def apply(self, batch):
        self.held.append(batch)
        return batch.slice(0, 0)

    def finish(self):
        yield from self.held


class WholeConfig(ComponentConfig, type="whole"):
    """Options of an enricher that holds the rows of an epoch back."""


class WholeEnricher(HoldingEnricher):
    """Holds the rows of an epoch back until its end."""

    scope = "epoch"


class LatestSinkConfig(fakes.FakeSinkConfig, type="latest"):
    """Options of a sink that replaces rows."""


class LatestSink(FakeSink):
    """Keeps the latest row of each key."""

    upserts = True


@hookimpl
def ktrans_components():
    """List what this test brings."""
    return [
        Spec(kind="enricher", type="task", build=f"{__name__}:HoldingEnricher",
             config=f"{__name__}:HoldingConfig", summary="Holds the rows of a task back"),
        Spec(kind="enricher", type="whole", build=f"{__name__}:WholeEnricher",
             config=f"{__name__}:WholeConfig", summary="Holds the rows of an epoch back"),
        Spec(kind="decoder", type="timed", build=f"{__name__}:TimedDecoder",
             config=f"{__name__}:TimedConfig", summary="Lines with times"),
        Spec(kind="sink", type="latest", build=f"{__name__}:LatestSink", delivery="exactly_once",
             config=f"{__name__}:LatestSinkConfig", summary="Replaces rows"),
    ]  # fmt: skip


class Rolled:
    """A bench whose pipeline ends in a rollup."""

    def __init__(self, bench, rolled=None, **options):
        self.bench = bench
        bench.catalogue = Catalogue(extra={"fakes": fakes, "mine": sys.modules[__name__]})
        config = bench.catalogue.config
        kind = "latest" if options.get("emit") == "running" else "fake"
        sink = config("sink", {"type": kind, "world": bench.name})
        bench.change(
            decoder=config("decoder", {"type": "timed"}),
            enrichers=tuple(
                config("enricher", one)
                for one in rolled
                or [{"type": "rollup", "window": "1m", "group_by": ["group"], **options}]
            ),
            sinks=(SinkEntry("a", sink),),
        )
        self.running = kind == "latest"

    def names(self):
        """Return the names of the columns that come out."""
        assembly = assemble(self.bench.pipeline, self.bench.catalogue)
        return assembly.schema.names

    def rows(self):
        """Return what a reader of the sink sees: all rows, or the latest of each key."""
        names = self.names()
        found = []
        for (sink, task), rows in sorted(self.bench.world.published.items()):
            if sink == "a":
                found += [dict(zip(names, row, strict=True), task=task) for row in rows]
        if not self.running:
            return found
        keyed = {(r["window_start"], r["group"], r["revision"]): r for r in found}
        return list(keyed.values())

    def totals(self):
        """Return bytes and flows by window and group, corrections added."""
        found = Counter(), Counter()
        for row in self.rows():
            key = int(row["window_start"].timestamp()) - BEGIN, row["group"]
            found[0][key] += row["bytes"] or 0
            found[1][key] += row["flows"]
        return dict(found[0]), dict(found[1])

    def open(self):
        """Say how many totals are open."""
        with self.bench.store() as store:
            return open_totals(store, "p")


def oracle(objects, width=60):
    """Return the same sums by DuckDB, over the whole input."""
    rows = []
    for text in objects.values():
        for line in text.splitlines():
            size, _, name = line.split()
            seconds, group, _ = name.split(":")
            rows.append((int(seconds), group or None, int(size)))
    table = pa.table(
        [pa.array(c, t) for c, t in zip(zip(*rows, strict=True),
         [pa.int64(), pa.string(), pa.int64()], strict=True)], names=["s", "g", "b"]
    )  # fmt: skip
    with duckdb.connect() as db:
        db.register("t", table)
        answer = db.execute(
            "select s - s % $1, g, sum(b)::bigint, count(*) from t group by all", [width]
        ).fetchall()
    return {(s, g): b for s, g, b, _ in answer}, {(s, g): n for s, g, _, n in answer}


def line(seconds, group, size=10, peer="x"):
    return f"{size} 1 {seconds}:{group}:{peer}\n"


def run_to_the_end(rolled, crashes=()):
    """Run with a crash at each of these steps, then until nothing is left."""
    world = rolled.bench.world
    for step in crashes:
        world.steps, world.crash_at = 0, step
        try:
            receipt = rolled.bench.run()
        except Crash:
            continue
        finally:
            world.crash_at = 0
        assert receipt.error is None, receipt.error
    receipt = rolled.bench.run()
    assert receipt.error is None, receipt.error
    return receipt


@pytest.fixture
def crashing_store(monkeypatch):
    """Let the world's steps count calls of the store too: before and after each."""
    worlds = []
    for name in ("plan", "stage", "record", "finish"):
        original = getattr(Store, name)

        def stepped(self, *args, original=original):
            for world in worlds:
                world.step()
            original(self, *args)
            for world in worlds:
                world.step()

        monkeypatch.setattr(Store, name, stepped)
    return worlds


ROWS = st.tuples(st.integers(0, 900), st.sampled_from(["a", "b", "c", ""]), st.integers(0, 1000))
OBJECTS = st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=7)


@given(
    objects=OBJECTS,
    crashes=st.lists(st.integers(1, 40), max_size=3),
    emit=st.sampled_from(["closed", "running"]),
    lateness=st.sampled_from(["0s", "1m", "1h"]),
    splits=st.integers(1, 5),
    workers=st.integers(1, 2),
)
@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_totals_are_those_of_the_whole_input(
    bench, crashing_store, objects, crashes, emit, lateness, splits, workers
):
    """In any order of time, any epochs, with crashes at any step, corrections added up."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = type(bench)(Path(folder))
        crashing_store[:] = [fresh.world]
        rolled = Rolled(fresh, emit=emit, lateness=lateness, flush="at_end")
        fresh.settings(epoch_splits=splits, workers=workers)
        for number, rows in enumerate(objects):
            fresh.world.objects[f"o-{number}"] = "".join(line(*row) for row in rows)
        run_to_the_end(rolled, crashes)
        assert rolled.totals() == oracle(fresh.world.objects)
        assert not any(rolled.open().values())


@pytest.mark.parametrize("emit", ["closed", "running"])
@pytest.mark.parametrize("step", range(1, 46, 3))
def test_a_crash_at_any_step_leaves_the_same_rows(bench, crashing_store, tmp_path, step, emit):
    """Not only the sums: the published rows are those of a run that nobody disturbed."""
    texts = {
        f"o-{i}": line(i * 40, "a", i) + line(i * 40 + 5, "b", 1) + line(0, "c") for i in range(8)
    }
    undisturbed = Rolled(type(bench)(tmp_path / "calm"), emit=emit, lateness="30s")
    undisturbed.bench.world.objects.update(texts)
    run_to_the_end(undisturbed)

    crashing_store[:] = [bench.world]
    rolled = Rolled(bench, emit=emit, lateness="30s")
    bench.world.objects.update(texts)
    run_to_the_end(rolled, [step])

    def totals_of(one):
        return sorted(
            str({k: v for k, v in row.items() if k != "task"}) for row in one.rows()
        )  # fmt: skip

    assert totals_of(rolled) == totals_of(undisturbed)
    assert rolled.open() == undisturbed.open()
    assert not bench.world.staged


def test_open_windows_wait_for_the_next_run(bench):
    rolled = Rolled(bench)
    bench.world.objects["o-1"] = line(0, "a", 5) + line(30, "a", 6)
    run_to_the_end(rolled)
    assert rolled.rows() == []
    assert rolled.open() == {"rollup": 1}
    bench.world.objects["o-2"] = line(59, "a", 7) + line(60 + 600, "b", 1)
    run_to_the_end(rolled)
    (row,) = rolled.rows()
    assert (row["bytes"], row["flows"], row["revision"]) == (18, 3, None)
    assert rolled.open() == {"rollup": 1}


def test_late_rows_come_out_as_a_correction_with_the_number_of_their_epoch(bench):
    rolled = Rolled(bench, lateness="0s")
    bench.world.objects["o-1"] = line(0, "a", 5) + line(120, "a", 1)
    run_to_the_end(rolled)
    bench.world.objects["o-2"] = line(1, "a", 7) + line(2, "a", 8)
    receipt = run_to_the_end(rolled)
    first, second = (r for r in rolled.rows() if r["window_start"].timestamp() == BEGIN)
    assert (first["bytes"], first["revision"]) == (5, None)
    assert (second["bytes"], second["flows"], second["revision"]) == (15, 2, 2)
    stage = receipt.ledger.stages[0]
    assert (stage.late, stage.closed.bytes, stage.held.rows) == (2, 15, 0)


def test_late_rows_can_be_rejected(bench):
    rolled = Rolled(bench, lateness="0s", late="reject")
    bench.world.objects["o-1"] = line(0, "a", 5) + line(120, "a", 1)
    run_to_the_end(rolled)
    bench.world.objects["o-2"] = line(1, "a", 7)
    receipt = run_to_the_end(rolled)
    assert receipt.ledger.refused == {"late": 1}
    (reject,) = bench.world.rows("rejects")
    assert "late" in reject
    assert any(value == "fake://o-2" for value in reject)
    assert "revision" not in rolled.names()


def test_rows_without_a_time_or_from_the_future_are_rejects(bench):
    rolled = Rolled(bench, flush="at_end")
    far = int(dt.datetime.now(dt.UTC).timestamp()) - BEGIN + 3 * 86_400
    bench.world.objects["o-1"] = line("", "a") + line(far, "a") + line(5, "a", 3)
    receipt = run_to_the_end(rolled)
    assert receipt.ledger.refused == {"time_missing": 1, "time_in_future": 1}
    assert rolled.totals() == ({(0, "a"): 3}, {(0, "a"): 1})


def test_staged_files_that_are_lost_are_made_again_from_the_same_state(bench):
    rolled = Rolled(bench, lateness="0s", flush="at_end")
    bench.settings(epoch_splits=1)
    for i in range(4):
        bench.world.objects[f"o-{i}"] = line(i * 30, "a", i + 1) + line(i * 90, "b")
    original = FakeSink.commit
    lost = []

    def commit(self, epoch, receipts):
        if self.context.name == "a" and epoch.number not in lost:
            lost.append(epoch.number)
            for key in [k for k in bench.world.staged if k[0] == "a"]:
                del bench.world.staged[key]
        original(self, epoch, receipts)

    FakeSink.commit = commit
    try:
        run_to_the_end(rolled)
    finally:
        FakeSink.commit = original
    assert lost == [1, 2, 3, 4, 5]
    assert rolled.totals() == oracle(bench.world.objects)


def test_a_rollup_of_a_rollup_sums_up_the_same(bench):
    minute = {"type": "rollup", "window": "1m", "group_by": ["group"], "flush": "at_end",
              "id": "minute", "lateness": "0s"}  # fmt: skip
    hour = {
        "type": "rollup", "window": "5m", "group_by": ["group"], "flush": "at_end", "id": "hour",
        "time": ["window_start"], "aggregates": {"bytes": "sum", "flows": "sum"},
    }  # fmt: skip
    rolled = Rolled(bench, [minute, hour])
    bench.settings(epoch_splits=2)
    for i in range(9):
        bench.world.objects[f"o-{i}"] = line(i * 37, "a", i) + line(i * 91, "b", 1)
    run_to_the_end(rolled)
    assert rolled.totals() == oracle(bench.world.objects, 300)


def test_without_lateness_in_play_the_number_of_epochs_changes_no_row(bench, tmp_path):
    aggregates = {"bytes": "sum", "flows": "count", "largest": {"max": "bytes"},
                  "smallest": {"min": "bytes"}, "mean": {"mean": "bytes"},
                  "peers": {"distinct": "peer"}, "about": {"approx_distinct": "peer"}}  # fmt: skip
    texts = {
        f"o-{i}": "".join(line(i + j, "ab"[j % 2], i * j, f"p{(i * j) % 7}") for j in range(20))
        for i in range(9)
    }
    seen = []
    for splits in (1, 2, 9):
        one = type(bench)(tmp_path / str(splits))
        rolled = Rolled(one, aggregates=aggregates, flush="at_end")
        one.settings(epoch_splits=splits)
        one.world.objects.update(texts)
        run_to_the_end(rolled)
        seen.append([{**row, "task": ""} for row in rolled.rows()])
    key = json.dumps
    assert seen[0] == seen[1] == seen[2], key(seen, default=str)
    assert [row["peers"] for row in seen[0]] == [row["about"] for row in seen[0]]


def test_running_totals_need_a_sink_that_replaces_rows(bench):
    rolled = Rolled(bench, emit="running")
    world = {"type": "fake", "world": bench.name}
    bench.change(sinks=(SinkEntry("plain", bench.catalogue.config("sink", world)),))
    with pytest.raises(ConfigErrors) as caught:
        rolled.names()
    (error,) = caught.value.errors
    assert (error.code, error.component) == ("totals_repeat", "plain")


def test_two_rollups_need_two_ids(bench):
    one = {"type": "rollup", "window": "1m", "aggregates": {"bytes": "sum"}}
    again = {**one, "time": ["window_start"]}
    rolled = Rolled(bench, [one, again])
    with pytest.raises(ConfigErrors) as caught:
        rolled.names()
    assert "under the name 'rollup'" in caught.value.errors[0].message


def test_a_rollup_with_open_windows_may_not_just_go(bench):
    Rolled(bench)
    bench.world.objects["o-1"] = line(0, "a", 5)
    assert bench.run().error is None
    enrichers = bench.pipeline.enrichers
    bench.change(enrichers=())
    bench.world.objects["o-2"] = line(1, "a", 5)
    assert bench.run().error["code"] == "open_totals_left"
    bench.change(enrichers=enrichers)
    assert bench.run().error is None


def test_open_windows_of_another_definition_stop_the_run(bench):
    rolled = Rolled(bench)
    bench.world.objects["o-1"] = line(0, "a", 5)
    assert bench.run().error is None
    Rolled(bench, window="5m")
    bench.world.objects["o-2"] = line(1, "a", 5)
    assert bench.run().error["code"] == "rollup_changed"
    assert len(rolled.open()) == 1


def test_emit_and_lateness_may_change_while_windows_are_open(bench):
    Rolled(bench)
    bench.world.objects["o-1"] = line(0, "a", 5)
    assert bench.run().error is None
    rolled = Rolled(bench, lateness="0s", flush="at_end", top={"limit": 1, "by": "bytes"})
    bench.world.objects["o-2"] = line(1, "a", 5)
    run_to_the_end(rolled)
    assert rolled.totals() == oracle(bench.world.objects)


def test_too_many_totals_stop_the_run_and_publish_nothing(bench):
    rolled = Rolled(bench, max_groups=3)
    bench.world.objects["o-1"] = "".join(line(0, f"g{i}") for i in range(4))
    receipt = bench.run()
    assert receipt.error["code"] == "too_many_groups"
    assert rolled.rows() == []


def test_a_dry_run_leaves_open_windows_as_they_are(bench):
    rolled = Rolled(bench)
    bench.world.objects["o-1"] = line(0, "a", 5)
    run_to_the_end(rolled)
    bench.world.objects["o-2"] = line(0, "b", 5)
    assert bench.run(dry_run=True).error is None
    assert rolled.open() == {"rollup": 1}
    bench.world.objects["o-3"] = line(3600, "b", 5)
    run_to_the_end(rolled)
    assert rolled.totals()[0] == {(0, "a"): 5, (0, "b"): 5}


def test_an_epoch_that_was_planned_before_the_rollup_came_is_rolled_up(bench):
    """It has several tasks, and its rows are in the totals once."""
    rolled = Rolled(bench, flush="at_end")
    rollup = bench.pipeline.enrichers
    bench.change(enrichers=(), fingerprint="without")
    for i in range(4):
        bench.world.objects[f"o-{i}"] = "".join(line(second, "a") for second in range(5))
    with bench.store() as store:
        store.claim("p", bench.pipeline.path)
    bench.world.crash_at = 8
    with pytest.raises(Crash):
        bench.run()
    with bench.store() as store:
        epoch = store.unfinished("p")
        assert epoch.status == "planned"
        assert len(epoch.tasks) > 1
    bench.world.crash_at = 0
    bench.change(enrichers=rollup, fingerprint="with")
    assert bench.run().error is None
    assert rolled.totals() == ({(0, "a"): 200}, {(0, "a"): 20})


def test_a_rollup_may_be_defined_anew_once_it_was_flushed(bench):
    rolled = Rolled(bench, flush="at_end")
    config = bench.catalogue.config
    bench.world.objects["o-0"] = line(0, "a")
    assert bench.run().error is None
    anew = {"type": "rollup", "window": "1h", "group_by": ["group"], "flush": "at_end"}
    bench.change(enrichers=(config("enricher", anew),))
    for number in (1, 2, 3):
        bench.world.objects[f"o-{number}"] = line(7200 * number, "b")
        receipt = bench.run()
        assert receipt.error is None, receipt.error
    assert rolled.totals()[1] == {(0, "a"): 1, **{(7200 * n, "b"): 1 for n in (1, 2, 3)}}


# -- several tasks --------------------------------------------------------------------------------


class Reports(Observer):
    """Keeps the reports of tasks."""

    def __init__(self):
        self.tasks = []

    def task_finished(self, task):
        self.tasks.append(task)


def four_objects(bench, **options):
    """Put four objects in one epoch of four tasks."""
    rolled = Rolled(bench, flush="at_end", **options)
    for i in range(4):
        bench.world.objects[f"o-{i}"] = "".join(line(second, "ab"[i % 2]) for second in range(5))
    return rolled


def test_only_the_task_that_merges_writes_to_the_sink(bench):
    rolled, reports = four_objects(bench), Reports()
    assert bench.run(observer=reports).error is None
    assert rolled.totals() == oracle(bench.world.objects)
    first = sorted((t for t in reports.tasks if t["epoch"] == 1), key=lambda task: task["index"])
    assert [task["rows"] for task in first] == [5, 5, 5, 5, 0]
    files = sorted(task for sink, task in bench.world.published if sink == "a")
    assert [file.partition("-")[2] for file in files] == ["00000001-0004", "00000002-0000"]


def test_the_merge_is_tried_again_without_reading_again(bench):
    rolled, reports = four_objects(bench, lateness="0s"), Reports()
    bench.world.objects["o-3"] += line(600, "c")
    bench.world.write_errors = [RetryableError("not now")] * 2
    assert bench.run(observer=reports).error is None
    assert rolled.totals() == oracle(bench.world.objects)
    attempts = {task["index"]: task["attempts"] for task in reports.tasks if task["epoch"] == 1}
    assert attempts == {0: 1, 1: 1, 2: 1, 3: 1, 4: 3}
    assert sorted(bench.world.opened) == sorted(set(bench.world.opened))


def test_a_task_is_tried_again_by_itself(bench):
    rolled = four_objects(bench)
    bench.world.errors["o-2"] = [RetryableError("not now")]
    assert bench.run().error is None
    assert rolled.totals() == oracle(bench.world.objects)


def test_an_object_that_cannot_be_read_is_left_out_of_the_totals_of_its_task(bench):
    rolled = four_objects(bench)
    bench.world.errors["o-2"] = [SplitError("broken")]
    receipt = bench.run()
    assert receipt.ledger.decoded.rows == 15
    bench.run()
    assert rolled.totals() == oracle(bench.world.objects)


def test_tasks_write_the_rejects_that_they_find(bench):
    rolled = four_objects(bench, lateness="0s", late="reject")
    assert bench.run().error is None
    for i in range(4):
        bench.world.objects[f"p-{i}"] = line(1, "late") + line(900, "a") + line("", "a")
    receipt = bench.run()
    assert receipt.ledger.refused == {"late": 4, "time_missing": 4}
    assert len(bench.world.rows("rejects")) == 8
    assert rolled.totals()[1] == {(0, "a"): 10, (0, "b"): 10, (900, "a"): 4}


def test_too_many_totals_of_all_tasks_stop_the_run(bench):
    rolled = four_objects(bench, max_groups=1)
    receipt = bench.run()
    assert receipt.error["code"] == "too_many_groups"
    assert rolled.rows() == []
    assert not bench.world.staged


@pytest.mark.parametrize(
    ("kinds", "tasks"),
    [
        (["rollup", "whole"], [5, 5, 5, 5, 0]),
        (["task", "rollup"], [5, 5, 5, 5, 0]),
        (["whole", "rollup"], [20]),
    ],
)
def test_the_first_enricher_over_an_epoch_decides_whether_it_is_shared(bench, kinds, tasks):
    rolled = Rolled(
        bench,
        [
            {"type": "rollup", "window": "1m", "group_by": ["group"], "flush": "at_end"}
            if kind == "rollup"
            else {"type": kind}
            for kind in kinds
        ],
    )
    for i in range(4):
        bench.world.objects[f"o-{i}"] = "".join(line(second, "ab"[i % 2]) for second in range(5))
    reports = Reports()
    assert bench.run(observer=reports).error is None
    assert rolled.totals() == oracle(bench.world.objects)
    first = sorted((t for t in reports.tasks if t["epoch"] == 1), key=lambda task: task["index"])
    assert [task["rows"] for task in first] == tasks


def test_partial_results_beyond_the_memory_bound_wait_on_disk():
    kept = Partials(memory_bytes=10)
    for index in (2, 0, 1):
        kept.keep(index, bytes([index]) * 8)
    kept.keep(1, b"again")
    assert list(kept.read()) == [b"\0" * 8, b"again", b"\2" * 8]
    assert list(kept.read()) == list(kept.read())
    kept.close()


def test_a_full_disk_under_partial_results_says_what_to_do(monkeypatch):
    with (
        closing(Partials()) as kept,
        Path("/dev/full").open("wb") as full,
        monkeypatch.context() as patch,
    ):
        patch.setattr(kept._file, "_file", full)
        with pytest.raises(RunError) as caught:
            kept.keep(0, b"x" * 10_000)
    assert caught.value.code == "spill_failed"
