"""Pipelines side by side, without a process of their own."""

from __future__ import annotations

import os
import sys
import threading
import time
import types

import pytest

from ktrans.api import ConfigError, ExitCode, UsageError
from ktrans.config.find_files import pipeline_files
from ktrans.config.load import load_pipeline
from ktrans.engine.fleet.allocation import allocate_workers, worst_exit_code
from ktrans.engine.fleet.config_watch import POLL_SECS, SETTLE_SECS, ConfigWatch
from ktrans.engine.fleet.fingerprint import pipeline_fingerprint, referenced_files
from ktrans.engine.fleet.fleet import Fleet
from ktrans.engine.fleet.observer import FleetObserver
from ktrans.engine.fleet.request import FleetRequest
from ktrans.engine.observer import Observer
from ktrans.registry.catalogue import Catalogue

PIPELINE = """\
name: {name}
source: {{type: {source}}}
sinks: [{{type: blackhole}}]
state: {{path: state.db}}
{more}
"""


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue(environ={"KTRANS_PLUGINS": "generate"})


@pytest.fixture
def write(tmp_path):
    def write(name, source="generate, rows: 50", more=""):
        path = tmp_path / f"{name}.yaml"
        path.write_text(PIPELINE.format(name=name, source=source, more=more))
        return path

    return write


class Recorder(FleetObserver):
    def __init__(self):
        self.seen = []
        self.happened = threading.Condition()

    def note(self, *what):
        with self.happened:
            self.seen.append(what)
            self.happened.notify_all()

    def until(self, *what):
        with self.happened:
            assert self.happened.wait_for(lambda: what in self.seen, 60), (what, self.seen)

    def observer(self, pipeline):
        recorder = self

        class CaughtUp(Observer):
            def caught_up(self):
                recorder.note("caught_up", pipeline.name)

        return CaughtUp()

    def starting(self, member):
        self.note("starting", member.name)

    def ended(self, member):
        self.note("ended", member.name)

    def removed(self, name):
        self.note("removed", name)

    def reloaded(self, change):
        self.note("reloaded", change.generation)
        self.change = change

    def reload_failed(self, errors):
        self.note("reload_failed", *(error.code for error in errors))


class Running:
    """A fleet that runs in a thread."""

    def __init__(self, order, catalogue):
        self.recorder = Recorder()
        self.fleet = Fleet(order, catalogue, self.recorder)
        self.fleet.prepare()
        self.events = stop, abandon, reload = [threading.Event() for _ in range(3)]
        self.stop, self.reload = stop, reload
        self.thread = threading.Thread(target=self.fleet.run, args=(stop, abandon, reload))
        self.thread.start()

    def end(self):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.fleet.members


@pytest.fixture
def running(catalogue, tmp_path):
    started = []

    def running(**options):
        order = FleetRequest(paths=(str(tmp_path),), **options)
        started.append(Running(order, catalogue))
        return started[-1]

    yield running
    for one in started:
        one.end()


def ran(order, catalogue):
    fleet = Fleet(order, catalogue)
    fleet.prepare()
    return fleet.run(threading.Event(), threading.Event(), threading.Event())


def test_all_run_to_their_end_each_with_a_receipt_of_its_own(write, tmp_path, catalogue):
    write("a")
    write("b", "generate, rows: 70")
    members = ran(FleetRequest(paths=(str(tmp_path),)), catalogue)
    assert [(m.name, m.receipt.ledger.decoded.rows) for m in members] == [("a", 50), ("b", 70)]
    again = ran(FleetRequest(paths=(str(tmp_path),), names=("b",)), catalogue)
    assert [(m.name, m.receipt.outcome) for m in again] == [("b", "nothing_to_do")]


def test_nothing_starts_if_one_is_wrong(write, tmp_path, catalogue):
    write("a")
    write("b", more='enrichers: [{type: filter, where: "nowhere = 1"}]')
    fleet = Fleet(FleetRequest(paths=(str(tmp_path),)), catalogue)
    with pytest.raises(ConfigError) as caught:
        fleet.prepare()
    assert "nowhere" in caught.value.errors[0].message
    going = Fleet(FleetRequest(paths=(str(tmp_path),), keep_going=True), catalogue)
    going.prepare()
    members = going.run(threading.Event(), threading.Event(), threading.Event())
    assert [member.name for member in members] == ["a"]
    assert [path.name for path, _ in going.wrong] == ["b.yaml"]


def test_what_is_for_one_or_for_those_that_stay_is_refused(write, tmp_path, catalogue):
    from ktrans.engine.run_context import RunOptions

    write("a")
    write("b")
    for order in (
        FleetRequest(paths=(str(tmp_path),), run=RunOptions(start="2026-01-01")),
        FleetRequest(paths=(str(tmp_path),), watch=True),
    ):
        with pytest.raises(UsageError):
            Fleet(order, catalogue).prepare()


@pytest.mark.parametrize(
    ("source", "sinks", "stream"),
    [("stdin", "blackhole", "stdin"), ("generate, rows: 5", "stdout", "stdout")],
)
def test_two_that_would_share_a_standard_stream_are_refused(
    write, catalogue, tmp_path, source, sinks, stream
):
    for name in ("a", "b"):
        path = write(name, source)
        path.write_text(path.read_text().replace("blackhole", sinks))
    with pytest.raises(UsageError, match=f"2 pipelines would .* {stream}: a, b"):
        Fleet(FleetRequest(paths=(str(tmp_path),)), catalogue).prepare()


def test_an_observer_that_ends_the_thread_is_a_failure_of_that_one_only(write, tmp_path, catalogue):
    class Ends(FleetObserver):
        def observer(self, pipeline):
            class CaughtUp(Observer):
                def run_started(self, *_):
                    if pipeline.name == "a":
                        raise SystemExit(3)

            return CaughtUp()

    write("a")
    write("b")
    fleet = Fleet(FleetRequest(paths=(str(tmp_path),)), catalogue, Ends())
    fleet.prepare()
    a, b = fleet.run(threading.Event(), threading.Event(), threading.Event())
    assert (a.receipt.outcome, a.receipt.exit_code) == ("failed", ExitCode.SOFTWARE)
    assert "SystemExit" in a.receipt.error["message"]
    assert b.receipt.outcome == "done"


FOLLOW = {"more": "engine: {poll_interval: 0.05}"}


def test_a_reload_touches_only_what_has_changed(write, running):
    write("a", **FOLLOW)
    write("b", **FOLLOW)
    one = running(once=False)
    one.recorder.until("caught_up", "a")
    one.recorder.until("caught_up", "b")
    run_of_b = one.fleet.members["b"].receipt.run_id
    write("a", "generate, rows: 60", **FOLLOW)
    write("c", **FOLLOW)
    one.reload.set()
    one.recorder.until("caught_up", "c")
    change = one.recorder.change
    assert (change.new, change.changed, change.unchanged) == (("c",), ("a",), ("b",))
    members = one.end()
    assert members["b"].receipt.run_id == run_of_b
    assert list(members) == ["a", "b", "c"]


def test_a_wrong_reload_leaves_everything_as_it_is(write, running):
    path = write("a", **FOLLOW)
    one = running(once=False)
    one.recorder.until("caught_up", "a")
    run_id = one.fleet.members["a"].receipt.run_id
    path.write_text("name: a\nsource: {type: nope}\nsinks: [{type: blackhole}]\n")
    one.reload.set()
    one.recorder.until("reload_failed", "unknown_component")
    assert one.fleet.members["a"].receipt.run_id == run_id
    assert not one.fleet.members["a"].ended
    write("a", "generate, rows: 51", **FOLLOW)
    one.reload.set()
    one.recorder.until("reloaded", 2)
    one.recorder.until("ended", "a")
    assert one.end()["a"].receipt.run_id != run_id


def test_a_renamed_pipeline_is_one_that_leaves_and_one_that_comes_after_it(write, running):
    path = write("a", **FOLLOW)
    one = running(once=False)
    one.recorder.until("caught_up", "a")
    path.write_text(path.read_text().replace("name: a", "name: z"))
    one.reload.set()
    one.recorder.until("starting", "z")
    one.recorder.until("removed", "a")
    seen = one.recorder.seen
    assert seen.index(("ended", "a")) < seen.index(("starting", "z"))


def test_what_has_failed_is_started_again_by_a_reload(write, running, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("rubbish\n" * 20)
    text = "file, paths: [logs/]"
    write("a", text, "decoder: {type: aws_vpc}\nrejects: {type: blackhole, limit: {count: 1}}")
    write("b", **FOLLOW)
    one = running(once=False)
    one.recorder.until("ended", "a")
    one.recorder.until("caught_up", "b")
    assert one.fleet.members["a"].receipt.exit_code == ExitCode.DATA
    (tmp_path / "logs/a.log").unlink()
    one.recorder.seen.remove(("ended", "a"))
    one.reload.set()
    one.recorder.until("reloaded", 2)
    assert one.recorder.change.changed == ("a",)
    assert one.recorder.change.unchanged == ("b",)


class Slow:
    """A function for the `python` enricher that holds an epoch up."""

    def __init__(self):
        self.entered, self.go = threading.Event(), threading.Event()

    def __call__(self, batch):
        if batch.num_rows:
            self.entered.set()
            assert self.go.wait(60)
        return batch


@pytest.fixture
def slow(monkeypatch):
    module = types.ModuleType("slow_rows")
    module.hold = Slow()
    monkeypatch.setitem(sys.modules, "slow_rows", module)
    yield module.hold
    module.hold.go.set()


HELD = "enrichers: [{type: python, function: 'slow_rows:hold'}]\n"


def test_the_epoch_under_way_is_completed_before_the_change(write, running, slow):
    write("a", "generate, rows: 50", HELD + "engine: {poll_interval: 0.05, grace_period: 0}")
    one = running(once=False)
    assert slow.entered.wait(60)
    old = one.fleet.members["a"]
    write("a", "generate, rows: 50", HELD + "engine: {poll_interval: 0.06, grace_period: 0}")
    one.reload.set()
    one.recorder.until("reloaded", 2)
    assert not old.ended
    slow.go.set()
    one.recorder.until("ended", "a")
    assert (old.receipt.outcome, old.receipt.epochs) == ("stopped", 1)
    assert old.receipt.ledger.decoded.rows == 50
    one.recorder.until("caught_up", "a")
    new = one.end()["a"]
    assert new is not old
    assert not new.receipt.resumed
    assert new.receipt.ledger.decoded.rows == 0


def test_a_call_to_stop_overtakes_a_change(write, running, slow):
    write("a", "generate, rows: 50", HELD + "engine: {poll_interval: 0.05, grace_period: 60}")
    one = running(once=False)
    assert slow.entered.wait(60)
    old = one.fleet.members["a"]
    write("a", "generate, rows: 50", HELD + "engine: {poll_interval: 0.06, grace_period: 60}")
    one.reload.set()
    one.recorder.until("reloaded", 2)
    one.stop.set()
    slow.go.set()
    assert one.end()["a"] is old
    assert old.receipt.ledger.decoded.rows == 50


def test_a_changed_pipeline_that_is_then_removed_ends_after_its_epoch(write, running, slow):
    write("b", **FOLLOW)
    write("a", "generate, rows: 50", HELD + "engine: {poll_interval: 0.05, grace_period: 60}")
    one = running(once=False)
    assert slow.entered.wait(60)
    path = write(
        "a", "generate, rows: 50", HELD + "engine: {poll_interval: 0.06, grace_period: 60}"
    )
    one.reload.set()
    one.recorder.until("reloaded", 2)
    path.unlink()
    one.reload.set()
    one.recorder.until("reloaded", 3)
    assert one.recorder.change.removed == ("a",)
    slow.go.set()
    one.recorder.until("removed", "a")


def test_a_state_that_moves_is_refused_since_all_would_be_read_again(write, running):
    path = write("a", **FOLLOW)
    one = running(once=False)
    one.recorder.until("caught_up", "a")
    text = path.read_text()
    path.write_text(text.replace("state.db", "other/state.db"))
    one.reload.set()
    one.recorder.until("reload_failed", "state_moved")
    assert not one.fleet.members["a"].ended
    path.write_text(text.replace("state: {", "state: {type: sqlite, "))
    write("b", **FOLLOW)
    one.reload.set()
    one.recorder.until("reloaded", 2)
    assert one.end()["a"].receipt.ledger.decoded.rows == 50


@pytest.mark.parametrize("value", ["[" * 5000 + "]" * 5000, "[" * 150 + "]" * 150])
def test_no_file_whatever_is_in_it_ends_those_that_run(write, running, tmp_path, value):
    write("a", **FOLLOW)
    one = running(once=False)
    one.recorder.until("caught_up", "a")
    (tmp_path / "b.yaml").write_text(f"x-a: {value}\n")
    one.reload.set()
    one.recorder.until("reload_failed", "yaml_too_large")
    assert not one.fleet.members["a"].ended


class Broken(FleetRequest):
    """What to run, with a defect in how it is loaded again."""

    def load(self, catalogue, seen):
        if getattr(catalogue, "broken", False):
            raise RuntimeError("a defect")
        return super().load(catalogue, seen)


def test_a_defect_in_a_reload_ends_nothing(write, tmp_path, monkeypatch):
    catalogue = Catalogue(environ={"KTRANS_PLUGINS": "generate"})
    write("a", **FOLLOW)
    one = Running(Broken(paths=(str(tmp_path),), once=False), catalogue)
    try:
        one.recorder.until("caught_up", "a")
        monkeypatch.setattr(catalogue, "broken", True, raising=False)
        one.reload.set()
        one.recorder.until("reload_failed", "defect")
        assert not one.fleet.members["a"].ended
    finally:
        one.end()


def test_a_partial_reload_is_reported_as_failing(write, running, tmp_path):
    write("a", **FOLLOW)
    one = running(once=False, keep_going=True)
    one.recorder.until("caught_up", "a")
    (tmp_path / "b.yaml").write_text("name: b\nsource: {type: nope}\nsinks: [{type: blackhole}]\n")
    write("c", **FOLLOW)
    one.reload.set()
    one.recorder.until("caught_up", "c")
    seen = one.recorder.seen
    assert seen.index(("reloaded", 2)) < seen.index(("reload_failed", "unknown_component"))


def test_a_changed_table_is_a_change(write, catalogue, tmp_path):
    (tmp_path / "net.csv").write_text("cidr,name\n10.0.0.0/8,lab\n")
    path = write("a", more="enrichers: [{type: cidr, table: net.csv}]")
    before = pipeline_fingerprint(load_pipeline(path, catalogue))
    assert pipeline_fingerprint(load_pipeline(path, catalogue)) == before
    (tmp_path / "net.csv").write_text("cidr,name\n10.0.0.0/8,office\n")
    assert pipeline_fingerprint(load_pipeline(path, catalogue)) != before


def test_a_changed_threat_list_is_a_change(write, catalogue, tmp_path):
    (tmp_path / "drop.txt").write_text("192.0.2.0/24\n")
    path = write("a", more="enrichers: [{type: threat_list, lists: [{name: d, file: drop.txt}]}]")
    before = pipeline_fingerprint(load_pipeline(path, catalogue))
    (tmp_path / "drop.txt").write_text("198.51.100.0/24\n")
    assert pipeline_fingerprint(load_pipeline(path, catalogue)) != before


def test_a_snapshot_that_is_added_to_a_folder_is_a_change(write, tmp_path):
    catalogue = Catalogue(environ={"KTRANS_PLUGINS": "generate,aws"})
    (tmp_path / "nics").mkdir()
    path = write("a", more="enrichers: [{type: aws_metadata, snapshot: nics}]")
    pipeline = load_pipeline(path, catalogue)
    before = pipeline_fingerprint(pipeline)
    watch = ConfigWatch([path], clock := Clock())
    watch.loaded([*referenced_files(pipeline)], time.time_ns())
    (tmp_path / "nics" / "20261105.json").write_text("{")
    assert pipeline_fingerprint(load_pipeline(path, catalogue)) != before
    clock.now += 2
    assert not watch.due(asked=False)
    (tmp_path / "nics" / "20261105.json").write_text("{}")  # it is still being written
    clock.now += 2
    assert not watch.due(asked=False)
    clock.now += 2
    assert watch.due(asked=False)


# -- watching -----------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch(tmp_path):
    (tmp_path / "p.yaml").write_text("a: 1\n")
    clock = Clock()
    watch = ConfigWatch([tmp_path], clock)
    watch.loaded([tmp_path / "p.yaml", tmp_path / "base"], time.time_ns())
    watch.clock = clock
    return watch


def after(watch, seconds, *, asked=False):
    watch.clock.now += seconds + 0.01
    return watch.due(asked=asked)


def test_a_change_is_due_once_it_has_come_to_rest(watch, tmp_path):
    assert not after(watch, POLL_SECS)
    (tmp_path / "p.yaml").write_text("a: [")
    assert not after(watch, POLL_SECS)
    (tmp_path / "p.yaml").write_text("a: [1]\n")
    assert not after(watch, SETTLE_SECS)
    assert after(watch, SETTLE_SECS)
    assert not after(watch, POLL_SECS)


def test_new_files_links_and_files_that_were_missing_are_changes(watch, tmp_path):
    for change in (
        lambda: (tmp_path / "base").write_text("x"),
        lambda: (tmp_path / "q.yaml").symlink_to(tmp_path / "base"),
        (tmp_path / "p.yaml").unlink,
    ):
        change()
        assert not after(watch, POLL_SECS)
        assert after(watch, SETTLE_SECS)
    (tmp_path / "notes.txt").write_text("x")
    assert not after(watch, POLL_SECS)
    assert not after(watch, SETTLE_SECS)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "b.yaml")
    (tmp_path / "a.yaml").write_text("a")
    clock = Clock()
    watch = ConfigWatch([tmp_path, tmp_path / "b.yaml"], clock)
    watch.clock = clock
    watch.loaded([tmp_path / "b.yaml"], time.time_ns())
    assert not after(watch, POLL_SECS)
    assert [*pipeline_files([tmp_path])] == [tmp_path / "a.yaml"]


def test_a_file_that_is_only_touched_is_no_change(watch, tmp_path):
    (tmp_path / "p.yaml").write_text("a: 1\n")
    assert not after(watch, POLL_SECS)
    assert not after(watch, POLL_SECS)


def test_who_asks_gets_a_load_though_nothing_has_changed_or_nothing_rests(watch, tmp_path):
    assert not after(watch, SETTLE_SECS, asked=True)
    assert after(watch, SETTLE_SECS, asked=True)
    due = [
        (tmp_path / "p.yaml").write_text(f"a: {n}\n") and after(watch, SETTLE_SECS, asked=True)
        for n in range(100)
    ]
    assert due.index(True) > 20


def test_what_was_written_while_it_was_read_is_due(tmp_path):
    (tmp_path / "p.yaml").write_text("a: 1\n")
    clock = Clock()
    watch = ConfigWatch([tmp_path], clock)
    watch.clock = clock
    watch.loaded([], 0)
    assert not after(watch, POLL_SECS)
    assert after(watch, SETTLE_SECS)


# -- workers and exit codes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "cores", "asked", "expected"),
    [
        ([None, None], 8, None, [4, 4]),
        ([None, None, None], 8, None, [3, 3, 2]),
        ([None, 6, None], 8, None, [4, 6, 4]),
        ([None] * 4, 2, None, [1, 1, 1, 1]),
        ([None, 6], 8, 3, [2, 1]),
        ([None], 8, None, [8]),
        ([5], 8, None, [5]),
    ],
)
def test_workers_are_shared_out(write, catalogue, own, cores, asked, expected):
    pipelines = [
        load_pipeline(
            write(f"p{n}", more=f"engine: {{workers: {workers}}}" if workers else ""), catalogue
        )
        for n, workers in enumerate(own)
    ]
    found = allocate_workers(pipelines, cores, asked)
    assert [found[pipeline.name] for pipeline in pipelines] == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 75], 75),
        ([75, 69], 69),
        ([65, 77], 77),
        ([78, 70], 70),
        ([130, 0], 130),
    ],
)
def test_the_worst_exit_code(codes, expected):
    assert worst_exit_code(codes) == expected


def test_the_pipelines_share_one_budget_of_memory(write, tmp_path, catalogue):
    for name in "ab":
        write(name)
    fleet = Fleet(FleetRequest(paths=(str(tmp_path),)), catalogue)
    fleet.prepare()
    first, second = fleet.waiting
    assert first.run.options.budget is second.run.options.budget is fleet.request.budget
    for member in fleet.waiting:
        member.discard()
