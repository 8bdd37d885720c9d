"""What a run does: epochs, resume, retries, quarantined splits, limits, stopping."""

import json
import sys
import threading
from concurrent.futures import Future
from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest

from ktrans.api import ExitCode, RejectError, RetryableError, RowsError, SplitChangedError
from ktrans.config.model import RejectsEntry, SinkEntry
from ktrans.config.settings import RejectLimit
from ktrans.engine.observer import Observer
from ktrans.engine.task import Task
from ktrans.engine.task_attempt import TaskAttempt
from ktrans.observe.receipt_text import receipt_text
from ktrans.state.sqlite import lock
from ktrans.testing import fakes
from ktrans.testing.world import Crash


def expected(objects, lines):
    return sorted(f"row-{n}-{i}" for n in range(objects) for i in range(lines))


def test_every_row_reaches_every_sink_once_and_the_ledger_adds_up(bench):
    bench.fill(objects=6, lines=5)
    receipt = bench.run()
    assert receipt.error is None
    assert receipt.exit_code == ExitCode.OK
    assert bench.names("a") == bench.names("b") == expected(6, 5)
    assert receipt.epochs == 2
    assert receipt.splits == 6
    assert receipt.ledger.records == receipt.ledger.decoded.rows == 30
    assert receipt.ledger.decoded.bytes == sum(n * 10 + i for n in range(6) for i in range(5))
    assert [sink.rows for sink in receipt.sinks] == [30, 30]
    assert bench.world.acknowledged == sorted(bench.world.objects)


def test_a_second_run_finds_nothing_to_do(bench):
    bench.fill()
    bench.run()
    receipt = bench.run()
    assert receipt.outcome == "nothing_to_do"
    assert receipt.exit_code == ExitCode.OK
    assert bench.names() == expected(6, 5)


def test_rejects_are_counted_by_reason_and_stored(bench):
    bench.world.objects["x"] = "1 1 one\nbad\n2 2 two\nbad\n"
    receipt = bench.run()
    assert receipt.ledger.rejected == {"bad": 2}
    assert bench.names() == ["one", "two"]
    stored = bench.world.rows("rejects")
    assert [(row[0], row[3], row[4]) for row in stored] == [("bad", 2, "bad"), ("bad", 4, "bad")]


def test_rows_that_a_sink_cannot_place_go_to_the_rejects(bench):
    bench.fill()
    bench.world.refuses["a"] = {"row-1-1", "row-4-0"}
    receipt = bench.run()
    assert receipt.error is None
    assert bench.names("a") == sorted(set(expected(6, 5)) - {"row-1-1", "row-4-0"})
    assert bench.names("b") == expected(6, 5)
    assert receipt.ledger.refused == {"not_wanted": 2}
    assert receipt.ledger.rejects == 0
    stored = [row[4] for row in bench.world.rows("rejects")]
    assert sorted(json.loads(raw)["name"] for raw in stored) == ["row-1-1", "row-4-0"]
    sink = next(stage for stage in receipt.ledger.stages if stage.name == "a")
    assert (sink.came_in.rows, sink.went_out.rows, sink.refused.rows) == (30, 28, 2)
    assert receipt.ledger.rows_agree()
    assert "refused by the other side" in receipt_text(receipt, "p.yaml")


def test_rows_that_cannot_be_encoded_go_to_the_rejects_and_their_neighbours_arrive(
    bench, monkeypatch
):
    def encode(writer, batch):
        names = batch.column("name").to_pylist()
        if "row-1-1" in names:
            flags = [name == "row-1-1" for name in names]
            raise RowsError("no form for it", rows=flags, code="no_form")
        if {"row-2-0", "row-4-4"} & set(names):
            raise OverflowError("value out of range")
        return batch

    monkeypatch.setattr(fakes._FakeWriter, "encode", encode)
    bench.fill()
    rejects = bench.catalogue.config("sink", {"type": "blackhole"})
    bench.change(rejects=RejectsEntry(rejects, RejectLimit(min_records=1_000_000)))
    receipt = bench.run()
    assert receipt.error is None
    bad = {"row-1-1", "row-2-0", "row-4-4"}
    assert bench.names("a") == bench.names("b") == sorted(set(expected(6, 5)) - bad)
    assert receipt.ledger.refused == {"no_form": 2, "row_not_encodable": 4}
    assert receipt.ledger.rows_agree()


def test_too_many_refused_rows_stop_the_run(bench):
    bench.fill()
    bench.world.refuses["a"] = set(expected(6, 5))
    bench.change(
        rejects=msgspec.structs.replace(bench.pipeline.rejects, limit=RejectLimit(count=10))
    )
    receipt = bench.run()
    assert receipt.error["code"] == "reject_limit"
    assert "not_wanted" in receipt.error["message"]
    assert not bench.world.published


def test_when_and_columns_choose_what_a_sink_gets(bench):
    bench.fill(objects=1, lines=5)
    entry = bench.pipeline.sinks[0]
    chosen = SinkEntry("a", entry.config, "packets >= 3", ("name", "packets"))
    bench.change(sinks=(chosen, bench.pipeline.sinks[1]))
    receipt = bench.run()
    assert bench.world.rows("a") == [("row-0-3", 3), ("row-0-4", 4)]
    assert receipt.ledger.stages[0].filtered.rows == 3
    assert receipt.ledger.stages[0].filtered.packets == 0 + 1 + 2
    assert receipt.ledger.stages[1].filtered.rows == 0


def test_a_stage_that_loses_rows_fails_the_run_and_publishes_nothing(bench):
    bench.fill()
    bench.change(enrichers=(bench.catalogue.config("enricher", {"type": "fake_loser"}),))
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.SOFTWARE
    assert receipt.error["code"] == "ledger"
    assert "fake_loser" in receipt.error["message"]
    assert not bench.world.published
    assert not bench.world.staged


@pytest.mark.parametrize("step", range(1, 60))
def test_a_crash_at_any_step_is_made_good_by_the_next_run(bench, step):
    bench.fill(objects=5, lines=4)
    bench.world.objects["object-002"] += "bad\n"
    bench.world.crash_at = step
    try:
        bench.run()
        crashed = False
    except Crash:
        crashed = True
    bench.world.crash_at = 0
    receipt = bench.run()
    assert receipt.error is None
    assert bench.names("a") == bench.names("b") == expected(5, 4)
    assert len(bench.world.rows("rejects")) == 1
    assert not bench.world.staged
    assert crashed or step > 40
    assert sorted(set(bench.world.acknowledged)) == sorted(bench.world.objects)


def test_an_error_that_passes_is_tried_again(bench):
    bench.fill(objects=3)
    bench.world.errors["object-001"] = [RetryableError("busy"), OSError(5, "input/output")]
    seen = []

    class Look(Observer):
        def retrying(self, what, attempt, wait_secs, error):
            seen.append((what, attempt, str(error)))

    receipt = bench.run(observer=Look())
    assert receipt.error is None
    assert bench.names() == expected(3, 5)
    assert receipt.retries == 2
    assert seen[0] == ("fake://object-001", 1, "busy")


def test_a_split_that_never_opens_is_quarantined_and_tried_again_next_time(bench):
    bench.fill(objects=3)
    bench.world.errors["object-001"] = [RetryableError("still busy")] * 4
    receipt = bench.run()
    assert [(s.uri, s.kind, s.reason) for s in receipt.quarantined] == [
        ("fake://object-001", "waiting", "still busy")
    ]
    assert receipt.exit_code == ExitCode.DATA
    assert bench.names() == sorted(f"row-{n}-{i}" for n in (0, 2) for i in range(5))
    with bench.store() as store:
        assert [item["key"] for item in store.quarantined("p")] == ["object-001"]
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.OK
    assert bench.names() == expected(3, 5)
    with bench.store() as store:
        assert store.quarantined("p") == []


def test_no_permission_is_not_retried_and_exits_77(bench):
    bench.fill(objects=3)
    bench.world.errors["object-001"] = [PermissionError(13, "Permission denied", "/x")]
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.ACCESS
    assert receipt.quarantined[0].reason == "Permission denied: /x"
    assert receipt.retries == 0
    assert len(bench.names()) == 10


def test_a_split_that_changed_is_planned_again_by_the_next_run(bench):
    bench.fill(objects=2)
    bench.world.errors["object-001"] = [SplitChangedError("it was replaced")]
    assert bench.run().quarantined[0].code == "split_changed"
    assert bench.run().outcome == "done"
    assert bench.names() == expected(2, 5)


def test_a_payload_that_can_never_be_read_becomes_one_reject(bench):
    bench.fill(objects=3)
    bench.world.errors["object-001"] = [RejectError("not a flow log", code="unknown_format")] * 2
    receipt = bench.run()
    assert receipt.ledger.rejected == {"unknown_format": 1}
    stored = bench.world.rows("rejects")
    assert [row[:3] for row in stored] == [
        ("unknown_format", "not a flow log", "fake://object-001")
    ]
    assert bench.run().outcome == "nothing_to_do"


def test_a_defect_in_a_decoder_sets_the_split_aside_and_the_others_arrive(bench):
    bench.fill(objects=3)
    bench.world.objects["object-001"] = "1 1 good\ndefect\n"
    receipt = bench.run()
    assert receipt.quarantined[0].code == "defect"
    assert "ZeroDivisionError" in receipt.quarantined[0].reason
    assert len(bench.names()) == 10


@pytest.mark.parametrize("how", ["does not open", "breaks off", "does not decode"])
def test_many_unreadable_objects_cost_no_more_than_reading_all_of_them_twice(
    bench, how, monkeypatch
):
    bench.fill(objects=40)
    bench.settings(task_size=1 << 20, epoch_splits=100)
    bad = [f"object-{number:03}" for number in range(0, 40, 2)]
    for name in bad:
        if how == "does not open":
            bench.world.errors[name] = [RejectError("not a flow log")]
        elif how == "does not decode":
            bench.world.objects[name] += "defect\n"
    if how == "breaks off":  # after blocks of it were passed on
        limits = bench.pipeline.limits.model_copy(update={"block_size": 1})
        bench.change(limits=limits)
        blocks = fakes.FakeDecoder.blocks

        def torn(decoder, payload):
            yield from blocks(decoder, payload)
            if payload.split.key in bad:
                raise RejectError("torn")

        monkeypatch.setattr(fakes.FakeDecoder, "blocks", torn)
    receipt = bench.run()
    assert {split.key for split in receipt.quarantined} == set(bad)
    assert bench.names() == sorted(name for name in expected(40, 5) if int(name.split("-")[1]) % 2)
    assert receipt.ledger.rows_agree()
    assert len(bench.world.opened) <= (40 if how == "does not open" else 40 + 20)


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowMemoryError("malloc failed")])
@pytest.mark.parametrize("where", ["source", "decoder", "sink"])
def test_a_lack_of_memory_ends_the_run_and_quarantines_nothing(bench, error, where, monkeypatch):
    bench.fill(objects=3)

    def fail(*arguments):
        raise error

    with monkeypatch.context() as patched:
        if where == "source":
            bench.world.errors["object-001"] = [error]
        elif where == "decoder":
            patched.setattr(fakes.FakeDecoder, "decode", fail)
        else:
            bench.world.write_errors = [error]
        receipt = bench.run()
    assert receipt.error["code"] == "out_of_memory"
    assert "engine.workers" in receipt.error["hint"]
    assert receipt.exit_code == ExitCode.TRY_LATER
    assert (receipt.quarantined, bench.world.published) == ([], {})
    assert bench.run().exit_code == ExitCode.OK
    assert bench.names() == expected(3, 5)


@pytest.mark.parametrize("prefix", ["work", "task", "read"])
def test_a_thread_that_dies_is_noticed(bench, prefix, monkeypatch):
    bench.fill(objects=3)

    def die(decoder, block):
        if threading.current_thread().name.startswith(prefix):
            raise SystemExit
        return decode(decoder, block)

    decode = fakes.FakeDecoder.decode
    if prefix == "read":
        monkeypatch.setattr(TaskAttempt, "_read", lambda attempt, splits: None)
    elif prefix == "task":
        monkeypatch.setattr(Task, "run", lambda task: sys.exit())
        monkeypatch.setattr(Future, "set_exception", lambda future, error: sys.exit())
    else:
        monkeypatch.setattr(fakes.FakeDecoder, "decode", die)
        monkeypatch.setattr(Future, "set_exception", lambda future, error: sys.exit())
    receipt = bench.run()
    assert receipt.error["code"] == "out_of_memory"
    monkeypatch.undo()
    assert bench.run().exit_code == ExitCode.OK
    assert bench.names() == expected(3, 5)


def test_too_many_unreadable_splits_stop_the_run(bench):
    bench.fill(objects=4)
    bench.settings(max_quarantined=1)
    for name in bench.world.objects:
        bench.world.errors[name] = [PermissionError(13, "Permission denied")] * 9
    receipt = bench.run()
    assert receipt.error["code"] == "too_many_quarantined"
    assert not bench.world.published


def test_a_sink_that_fails_for_good_fails_the_run_and_the_next_one_resumes(bench):
    bench.fill(objects=2)
    bench.world.write_errors = [OSError(28, "No space left on device")] * 100
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.TRY_LATER
    assert receipt.error["code"] == "disk_full"
    assert not bench.world.published
    bench.world.write_errors = []
    receipt = bench.run()
    assert receipt.resumed
    assert bench.names() == expected(2, 5)


def test_a_sink_that_fails_once_is_tried_again(bench):
    bench.fill(objects=2)
    bench.world.write_errors = [RetryableError("one moment", retry_after_secs=0.01)]
    receipt = bench.run()
    assert receipt.error is None
    assert receipt.retries == 1
    assert bench.names() == expected(2, 5)


def test_too_many_rejects_stop_the_run_and_nothing_is_published(bench):
    bench.world.objects["x"] = "bad\n" * 6 + "1 1 one\n" * 4
    limit = RejectLimit(ratio=0.5, min_records=10)
    bench.change(rejects=RejectsEntry(bench.pipeline.rejects.config, limit))
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.DATA
    assert receipt.error["code"] == "reject_limit"
    assert "bad (6)" in receipt.error["message"]
    assert not bench.world.published
    raised = RejectsEntry(bench.pipeline.rejects.config, RejectLimit(ratio=0.7, min_records=10))
    bench.change(rejects=raised)
    assert bench.run().error is None
    assert len(bench.names()) == 4


@pytest.mark.slow
def test_a_staged_epoch_whose_files_are_gone_is_processed_again(bench):
    bench.fill(objects=2)
    while not bench.world.staged:
        bench.world.steps, bench.world.crash_at = 0, bench.world.crash_at + 1
        with pytest.raises(Crash):
            bench.run()
        with bench.store() as store:
            status = store.unfinished("p").status
        if status == "planned":
            bench.world.staged.clear()
    bench.world.staged.clear()
    bench.world.crash_at = 0
    assert bench.run().error is None
    assert bench.names("a") == bench.names("b") == expected(2, 5)


def test_limit_stops_after_the_epoch_that_reaches_it(bench):
    bench.fill(objects=20, lines=5)
    receipt = bench.run(limit=7)
    assert receipt.ledger.decoded.rows == 40
    assert bench.run().outcome == "done"
    assert bench.names() == expected(20, 5)


def test_a_dry_run_writes_nothing_and_remembers_nothing(bench):
    bench.fill()
    receipt = bench.run(dry_run=True)
    assert receipt.ledger.decoded.rows == 30
    assert not bench.world.published
    assert not bench.world.acknowledged
    assert bench.run().ledger.decoded.rows == 30


def test_a_call_to_stop_finishes_the_epoch_and_begins_no_other(bench):
    bench.fill()
    stop = threading.Event()

    class Stopper(Observer):
        def epoch_planned(self, number, tasks, splits):
            stop.set()

    receipt = bench.run(observer=Stopper(), stop=stop)
    assert receipt.outcome == "stopped"
    assert receipt.exit_code == ExitCode.OK
    assert receipt.epochs == 1
    assert len(bench.names()) == 20


def test_when_the_grace_is_over_the_epoch_is_undone(bench):
    bench.fill()
    bench.settings(grace_period=0, retry_wait=30, retry_max_wait=30)
    bench.world.errors["object-001"] = [RetryableError("busy")] * 1000
    stop, abandon = threading.Event(), threading.Event()

    class Stopper(Observer):
        def retrying(self, what, attempt, wait_secs, error):
            stop.set()
            assert abandon.wait(30)  # or the attempts left might be used up before the grace is

    receipt = bench.run(observer=Stopper(), stop=stop, abandon=abandon)
    assert receipt.outcome == "stopped"
    assert receipt.exit_code == ExitCode.TRY_LATER
    assert not bench.world.published
    assert not bench.world.staged
    bench.world.errors.clear()
    assert bench.run().resumed
    assert bench.names() == expected(6, 5)


@pytest.mark.parametrize(("known", "plans"), [(True, 2), (False, 3)])
def test_a_run_does_not_list_again_what_it_has_read_completely(bench, monkeypatch, known, plans):
    """Unless the source cannot tell that a plan is all that was there."""
    listed = []
    plan = fakes.FakeSource.plan

    def counted(self, *args):
        found = plan(self, *args)
        listed.append(found)
        return replace(found, total_splits=6 - 4 * (len(listed) - 1)) if found and known else found

    monkeypatch.setattr(fakes.FakeSource, "plan", counted)
    bench.fill()
    receipt = bench.run()
    assert receipt.exit_code == 0
    assert len(listed) == plans
    assert [len(found.splits) for found in listed if found] == [4, 2]


def test_follow_waits_for_more(bench):
    bench.fill(objects=2)
    bench.settings(poll_interval=0.01)
    stop = threading.Event()

    class Feeder(Observer):
        def epoch_committed(self, number, summary):
            if number == 1:
                bench.world.objects["object-9"] = "1 1 late\n"
            else:
                stop.set()

    receipt = bench.run(observer=Feeder(), stop=stop, follow=True)
    assert receipt.epochs == 2
    assert "late" in bench.names()


def test_a_source_that_does_not_answer_is_asked_again(bench):
    bench.fill()
    bench.world.plan_errors += [RetryableError("busy"), RetryableError("busy")]
    receipt = bench.run()
    assert receipt.error is None
    assert bench.names() == expected(6, 5)


def test_a_source_that_never_answers_ends_a_run_unless_it_follows(bench):
    bench.fill(objects=2)
    bench.world.plan_errors += [RetryableError("busy")] * 100
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.TRY_LATER
    assert receipt.error["message"] == "busy"
    stop = threading.Event()

    class Stopper(Observer):
        def epoch_committed(self, number, summary):
            stop.set()

    assert bench.run(observer=Stopper(), stop=stop, follow=True).error is None
    assert bench.names() == expected(2, 5)


def test_a_source_that_does_not_answer_does_not_keep_a_run_from_stopping(bench):
    bench.settings(retry_wait=600, retry_max_wait=600)
    bench.world.plan_errors += [RetryableError("busy")] * 100
    stop = threading.Event()

    class Stopper(Observer):
        def retrying(self, what, attempt, wait_secs, error):
            stop.set()

    receipt = bench.run(observer=Stopper(), stop=stop, follow=True)
    assert (receipt.outcome, receipt.error) == ("stopped", None)


def test_a_second_run_at_the_same_time_is_refused_or_leaves_quietly(bench):
    bench.fill()
    with lock(bench.state_path, "p"):
        refused = bench.run()
        assert refused.exit_code == ExitCode.TRY_LATER
        assert "process" in refused.error["message"]
        left = bench.run(if_locked="skip")
        assert left.exit_code == ExitCode.OK
        assert left.outcome == "skipped"
    assert bench.run().outcome == "done"


def test_an_observer_that_fails_does_not_stop_the_run(bench):
    bench.fill()

    class Broken(Observer):
        def epoch_planned(self, number, tasks, splits):
            raise RuntimeError("broken")

    assert bench.run(observer=Broken()).error is None
    assert bench.names() == expected(6, 5)
