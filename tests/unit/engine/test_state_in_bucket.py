"""Runs whose state is in a bucket: who waits, who takes over, and what a fenced run leaves alone."""

import json
import sys
import threading
import types
from datetime import UTC, datetime, timedelta

import pytest

from ktrans.api import EpochId, ExitCode, Spec, hookimpl
from ktrans.engine.observer import Observer
from ktrans.kit.state.bucket import BucketStateConfig
from ktrans.registry.catalogue import Catalogue
from ktrans.state.store import hold_store
from ktrans.testing import fakes
from ktrans.testing.contracts.state_bucket import expire
from ktrans.testing.memory_state import MemoryBucketState, MemoryStateBucket

MODULE = "ktrans_test_memory_state"


@pytest.fixture
def bucket():
    return MemoryStateBucket()


@pytest.fixture
def bench(bench, bucket, monkeypatch):
    """The bench with its state in a bucket."""
    plugin = types.ModuleType(MODULE)
    plugin.build = lambda config, _context: MemoryBucketState(bucket, lease_time=config.lease_time)
    plugin.Config = BucketStateConfig
    spec = Spec(
        kind="state",
        type="memory",
        build=f"{MODULE}:build",
        config=f"{MODULE}:Config",
        summary="A bucket in memory",
    )
    plugin.ktrans_components = hookimpl(lambda: [spec])
    monkeypatch.setitem(sys.modules, MODULE, plugin)
    bench.catalogue = Catalogue(extra={"fakes": fakes, "memory": plugin})
    bench.change(state=bench.catalogue.config("state", {"type": "memory", "lease_time": 3600}))
    bench.settings(poll_interval=0.01)
    bench.fill()
    return bench


def test_runs_go_on_from_each_other(bench, bucket):
    assert bench.run().outcome == "done"
    assert bench.run().outcome == "nothing_to_do"
    assert len(bench.names()) == 30
    assert MemoryBucketState(bucket).pipelines() == ["p"]


def test_a_dry_run_leaves_nothing_in_the_bucket(bench, bucket):
    assert bench.run(dry_run=True).outcome == "done"
    assert bucket.objects == {}


def test_a_run_that_finds_a_lease_fails_or_leaves_quietly_and_says_until_when(bench, bucket):
    with hold_store(MemoryBucketState(bucket), "p", "run-1"):
        refused = bench.run()
        assert (refused.exit_code, refused.error["code"]) == (ExitCode.TRY_LATER, "locked")
        assert "run-1" in refused.error["message"]
        assert f"{datetime.now(UTC) + timedelta(seconds=59):%Y-%m-%d}" in refused.error["message"]
        assert bench.run(if_locked="skip").outcome == "skipped"
        assert bench.run(if_locked="skip", follow=True).outcome == "skipped"


def test_a_run_that_follows_waits_until_the_lease_has_run_out(bench, bucket):
    stop, began = threading.Event(), threading.Event()

    class Watcher(Observer):
        def note(self, text):
            if "waiting to take over" in text:
                expire(bucket)

        def run_started(self, pipeline, run_id, meter):
            began.set()

        def caught_up(self):
            stop.set()

    with hold_store(MemoryBucketState(bucket, lease_time=3600), "p", "gone"):
        receipt = bench.run(observer=Watcher(), stop=stop, follow=True)
    assert began.is_set()
    assert receipt.error is None
    assert len(bench.names()) == 30


def test_a_run_that_stands_by_for_long_says_so_once(bench, bucket):
    """Each renewal by the holder puts off the time that the message names."""
    stop, held, notes = threading.Event(), MemoryBucketState(bucket, lease_time=3600), []
    read, looks = bucket.read, []

    def renewing(key):
        found = read(key)
        if key.endswith("lease.json"):
            looks.append(key)
            result = json.loads(found.data)
            later = datetime.fromisoformat(result["until"]) + timedelta(seconds=1)
            data = json.dumps({**result, "until": later.isoformat()}).encode()
            bucket.replace(key, data, found.version)
            if len(looks) == 5:
                stop.set()
        return found

    class Watcher(Observer):
        def note(self, text):
            notes.append(text)

    with hold_store(held, "p", "other"):
        bucket.read = renewing
        bench.run(observer=Watcher(), stop=stop, follow=True)
        bucket.read = read
    assert len(looks) >= 5
    assert len(notes) == 1


def test_a_run_that_waits_for_a_lease_heeds_a_call_to_stop(bench, bucket):
    stop = threading.Event()

    class Watcher(Observer):
        def note(self, text):
            stop.set()

    with hold_store(MemoryBucketState(bucket), "p"):
        receipt = bench.run(observer=Watcher(), stop=stop, follow=True)
    assert (receipt.outcome, receipt.exit_code, receipt.error) == ("stopped", ExitCode.OK, None)


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "with an error of its own"])
def test_a_run_that_was_taken_over_publishes_nothing_and_cleans_up_nothing(bench, bucket, broken):
    """The other one may be at the same epoch: what that has staged must stay."""
    staged = []

    class Sleeper(Observer):
        def epoch_planned(self, number, tasks, splits):
            expire(bucket)
            with hold_store(MemoryBucketState(bucket), "p", "other") as store:
                epoch = EpochId("p", number, store.history("p"))
            staged.append(("a", f"{epoch}-of-the-other"))
            bench.world.staged[staged[0]] = []
            if broken:
                bench.world.objects.clear()

    receipt = bench.run(observer=Sleeper())
    assert (receipt.exit_code, receipt.error["code"]) == (ExitCode.TRY_LATER, "state_fenced")
    assert bench.names() == []
    assert staged[0] in bench.world.staged
    bench.fill()
    assert bench.run().error is None
    assert len(bench.names()) == 30
