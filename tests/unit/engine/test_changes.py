"""What happens when the world or the pipeline changes between runs, or while one waits."""

import threading

import pytest

from ktrans.api import ExitCode, RejectError, RunError, SplitChangedError
from ktrans.config.model import SinkEntry
from ktrans.engine.observer import Observer
from ktrans.state.epochs import Epoch, Quarantine
from ktrans.testing import fakes
from ktrans.testing.world import Crash


def crash_once_staged(bench):
    """Run again and again, dying one step later each time, until an epoch is decided."""
    while True:
        bench.world.steps, bench.world.crash_at = 0, bench.world.crash_at + 1
        with pytest.raises(Crash):
            bench.run()
        with bench.store() as store:
            epoch = store.unfinished("p")
            if epoch is not None and epoch.status == "committing":
                break
    bench.world.crash_at = 0


def test_after_a_reset_new_output_stands_beside_the_old(bench):
    bench.fill(objects=2)
    bench.run()
    with bench.store() as store:
        store.reset("p")
    bench.run()
    assert len(bench.names()) == 20
    assert len(set(bench.names())) == 10


@pytest.mark.slow
def test_a_sink_of_another_type_does_not_swallow_a_staged_epoch(bench):
    bench.fill(objects=2)
    crash_once_staged(bench)
    before = bench.pipeline.sinks
    hole = bench.catalogue.config("sink", {"type": "blackhole"})
    bench.change(sinks=(SinkEntry("a", hole), before[1]), fingerprint="changed")
    receipt = bench.run()
    assert receipt.error["code"] == "sink_changed"
    bench.change(sinks=before)
    assert bench.run().error is None
    assert len(bench.names("a")) == len(bench.names("b")) == 10


def test_an_epoch_planned_for_another_source_is_dropped(bench):
    bench.fill(objects=2)
    bench.world.crash_at = 3
    with pytest.raises(Crash):
        bench.run()
    bench.world.crash_at = 0
    other = fakes.WORLDS["other"] = fakes.World(objects={"x": "1 1 elsewhere\n"})
    del other
    first = bench.pipeline.source
    bench.change(source=bench.catalogue.config("source", {"type": "fake", "world": "other"}))
    receipt = bench.run()
    assert bench.names() == ["elsewhere"]
    assert "planned for another source" in receipt.notes[0]
    bench.change(source=first)
    bench.run()
    assert len(bench.names()) == 11
    del fakes.WORLDS["other"]


def test_too_many_bad_splits_are_forgiven_once_they_are_gone(bench):
    bench.fill(objects=4)
    bench.settings(max_quarantined=1)
    for name in bench.world.objects:
        bench.world.errors[name] = [RejectError("junk")] * 4
    assert bench.run().error["code"] == "too_many_quarantined"
    bench.world.errors.clear()
    receipt = bench.run()
    assert receipt.exit_code == ExitCode.OK
    assert len(bench.names()) == 20


def test_while_following_what_could_not_be_read_is_tried_again(bench):
    bench.fill(objects=2)
    bench.settings(poll_interval=0.01)
    bench.world.errors["object-001"] = [PermissionError(13, "Permission denied")]
    stop = threading.Event()

    class Watch(Observer):
        def epoch_committed(self, number, summary):
            if number == 2:
                stop.set()

    receipt = bench.run(observer=Watch(), stop=stop, follow=True)
    assert receipt.epochs == 2
    assert len(bench.names()) == 10


def test_the_source_is_notified_of_splits_that_were_rejected_completely():
    why = {
        "bad": Quarantine("bad", "x://bad", "rejected", "unknown_format", "?"),
        "shut": Quarantine("shut", "x://shut", "waiting", "access", "?"),
    }
    remember = {key: {"size": 1} for key in ("good", "bad", "shut")}
    kept = Epoch(1, [], None, remember, quarantined=why).remembered()
    assert kept == {"good": {"size": 1}, "bad": {"size": 1, "rejected": True}}


def lose_the_stage(bench):
    """Leave an epoch whose first task is published, and the rest of what was staged is gone."""
    bench.fill(objects=2)
    crash_once_staged(bench)
    first = min(bench.world.staged)
    bench.world.published[first] = bench.world.staged[first]
    bench.world.staged.clear()


@pytest.mark.slow
def test_an_epoch_that_may_be_published_in_part_is_not_dropped_for_another_source(bench):
    lose_the_stage(bench)
    bench.world.write_errors.append(RunError("the sink is down"))
    assert bench.run().error["message"] == "the sink is down"
    source = bench.pipeline.source
    bench.change(source=source.model_copy(update={"tag": "other"}))
    receipt = bench.run()
    assert receipt.error["code"] == "source_changed"
    bench.change(source=source)
    assert bench.run().error is None
    assert (
        bench.names("a")
        == bench.names("b")
        == sorted(f"row-{n}-{i}" for n in range(2) for i in range(5))
    )


@pytest.mark.slow
def test_a_split_that_may_be_published_is_not_quarantined_when_it_is_processed_again(bench):
    """Or it would come twice, once it can be read again."""
    lose_the_stage(bench)
    bench.world.errors["object-000"] = [SplitChangedError("gone")] * 100
    receipt = bench.run()
    assert receipt.error["code"] == "published_in_part"
    bench.world.errors.clear()
    assert bench.run().error is None
    assert len(bench.names("a")) == len(bench.names("b")) == 10


def test_the_number_of_a_dropped_epoch_is_not_used_again(bench):
    bench.fill(objects=2)
    bench.world.crash_at = 3
    with pytest.raises(Crash):
        bench.run()
    bench.world.crash_at = 0
    bench.change(source=bench.pipeline.source.model_copy(update={"tag": "other"}))
    receipt = bench.run()
    assert "dropped" in receipt.notes[0]
    assert all("00000002" in name for _, name in bench.world.published)
    assert len(bench.names("a")) == 10
