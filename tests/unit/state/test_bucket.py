"""State in a bucket: who writes, what a lost answer means, and how the log stays short."""

import gzip
import json
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import AccessError, ExitCode, FencedError, LockedError, RetryableError, StateError
from ktrans.kit.state import tables
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.state.epochs import Status
from ktrans.state.store import Store, hold_store, view_store
from ktrans.testing.clock import MovableClock
from ktrans.testing.contracts.state import QUARANTINED, an_epoch, staged, told
from ktrans.testing.contracts.state_bucket import expire
from ktrans.testing.memory_state import MemoryBucketState, MemoryStateBucket
from tests.examples import examples

ROOT = "ktrans/state/p/"
FILE = Path("flows.yaml")


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr("ktrans.kit.retry.CLOCK", MovableClock())


@pytest.fixture
def bucket():
    return MemoryStateBucket()


def state(bucket, **options):
    return MemoryBucketState(bucket, **{"checkpoint_entries": 4, **options})


def epochs(store, count):
    """Bring some epochs to their end."""
    for _ in range(count):
        epoch = staged(an_epoch(store.next_number("p")))
        store.plan("p", epoch)
        store.stage("p", epoch)
        store.record("p", epoch, {})
        store.finish("p", epoch)


def test_a_log_of_an_older_version_is_read_and_gone_on_with(bucket):
    statement = "INSERT INTO set_aside VALUES ('p', 'z', '', 'waiting', 'c', 'r', 1, 't', 2)"
    entry = {"state": 3, "mark": "m", "holder": "h", "statements": [[statement, []]]}
    bucket.create(f"{ROOT}log/{1:020}.json.gz", gzip.compress(json.dumps(entry).encode()))
    with view_store(state(bucket), "p") as copy:
        assert [one["key"] for one in copy.quarantined("p")] == ["z"]
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        epochs(store, 3)
        expected = told(store)
    with view_store(state(bucket), "p") as copy:
        assert told(copy) == expected
        assert [one["key"] for one in copy.quarantined("p")] == ["z"]


def test_an_answer_that_got_lost_is_found_out(bucket):
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        for step in (store.plan, store.stage):
            bucket.losing = 1
            step("p", staged(an_epoch()))
        expected = told(store)
    with view_store(state(bucket), "p") as copy:
        assert told(copy) == expected


def test_a_lease_whose_answer_got_lost_is_held_and_given_back(bucket):
    bucket.losing = 1
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        bucket.losing = 1
    with hold_store(state(bucket), "p"):
        pass


def test_a_bucket_that_does_not_answer_stops_the_run_and_the_next_reads_the_truth(bucket):
    with ExitStack() as held:
        store = held.enter_context(hold_store(state(bucket), "p"))
        store.claim("p", FILE)
        create = bucket.create

        def go_silent(key, data):
            bucket.create = create
            create(key, data)
            bucket.failing = 100
            raise RetryableError("no answer")

        bucket.create = go_silent
        with pytest.raises(RetryableError):
            store.plan("p", an_epoch())
        bucket.failing = 0
        with pytest.raises(StateError) as caught:
            store.plan("p", an_epoch())
        assert caught.value.code == "state_uncertain"
        assert caught.value.exit_code == ExitCode.TRY_LATER
    with hold_store(state(bucket), "p") as store:
        assert store.unfinished("p") is not None


def test_the_log_stays_short_however_much_is_written(bucket):
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        epochs(store, 30)
        expected = told(store)
    logged = [key for key in bucket.objects if "/log/" in key]
    checkpoints = [key for key in bucket.objects if "/checkpoints/" in key]
    assert len(checkpoints) == 2
    assert len(logged) <= 2 * 4
    with view_store(state(bucket), "p") as copy:
        assert told(copy) == expected


def test_a_checkpoint_that_fails_stops_nothing_and_comes_later(bucket, caplog):
    create, failures = bucket.create, []

    def full(key, data):
        if "/checkpoints/" in key and len(failures) < 3:
            failures.append(key)
            raise AccessError("no right to write there")
        return create(key, data)

    bucket.create = full
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        epochs(store, 10)
        expected = told(store)
    assert len(failures) == 3
    assert "no checkpoint of memory://bucket/ktrans/state/p/ was written" in caplog.text
    assert any("/checkpoints/" in key for key in bucket.objects)
    with view_store(state(bucket), "p") as copy:
        assert told(copy) == expected


def test_a_holder_that_slept_while_its_number_was_used_and_removed_is_fenced(bucket):
    """Its object can be created again, as nobody has that number any more; that does not count."""
    with ExitStack() as sleeping:
        old = sleeping.enter_context(hold_store(state(bucket), "p", "old"))
        old.claim("p", FILE)
        old.plan("p", an_epoch())
        expire(bucket)
        before = set(bucket.objects)
        with hold_store(state(bucket), "p", "new") as new:
            epoch = new.unfinished("p")
            new.drop("p", epoch)
            epochs(new, 10)
            assert not before & {key for key in bucket.objects if "/log/" in key}
            there = set(bucket.objects)
            with pytest.raises(FencedError):
                old.stage("p", staged(an_epoch()))
            assert len(set(bucket.objects) - there) == 1, "the write itself was not refused"
            expected = told(new)
        with view_store(state(bucket), "p") as copy:
            assert told(copy) == expected
        with hold_store(state(bucket), "p", "next") as store:
            assert told(store) == expected
            epochs(store, 10)
            numbers = sorted(key for key in bucket.objects if "/log/" in key)
            assert len(numbers) <= 2 * 4, "what the sleeper wrote is cleaned up"


def test_a_writer_that_is_between_lease_and_log_is_waited_out(bucket):
    """The old holder writes after the new one has read the log, before it has taken it over."""
    with ExitStack() as sleeping:
        old = sleeping.enter_context(hold_store(state(bucket), "p", "old"))
        old.claim("p", FILE)
        expire(bucket)
        create = bucket.create

        def interrupted(key, data):
            bucket.create = create
            if "/log/" in key:
                assert create(key, planning())
            return create(key, data)

        bucket.create = interrupted
        with hold_store(state(bucket), "p", "new") as new:
            assert new.unfinished("p") is not None, "what was written before the takeover counts"
        with pytest.raises(FencedError):
            old.plan("p", an_epoch(2))


def planning():
    """Return what a holder writes that plans an epoch."""
    other = MemoryStateBucket()
    with hold_store(state(other), "p") as store:
        store.plan("p", an_epoch())
        return next(found.data for key, found in other.objects.items() if "002.json" in key)


def test_a_server_is_not_accused_for_an_entry_that_another_run_has_removed(bucket):
    """While the server was tried, the lease ran out, and the entry that was tried with went."""
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
    create, taken = bucket.create, []

    def interrupted(key, data):
        if "/log/" in key and key in bucket.objects and not taken:
            taken.append(key)
            expire(bucket)
            with hold_store(state(bucket), "p", "other") as other:
                epochs(other, 10)
            assert key not in bucket.objects
        return create(key, data)

    bucket.create = interrupted
    with pytest.raises(FencedError):
        hold_store(state(bucket), "p").__enter__()
    assert taken


def test_what_is_not_needed_any_more_but_cannot_be_removed_stops_nothing(bucket, caplog):
    delete = bucket.delete

    def denied(key):
        raise AccessError(f"no right to remove {key}")

    bucket.delete = denied
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        epochs(store, 10)
        bucket.delete = delete
        assert "old entries of memory://bucket/ktrans/state/p/ were not removed" in caplog.text
        epochs(store, 10)
    assert len([key for key in bucket.objects if "/log/" in key]) <= 2 * 4


def test_a_number_that_is_missing_is_told(bucket):
    with hold_store(state(bucket, checkpoint_entries=100), "p") as store:
        store.claim("p", FILE)
        epochs(store, 2)
    del bucket.objects[f"{ROOT}log/{4:020}.json.gz"]
    with pytest.raises(StateError, match=r"0004\.json\.gz is missing") as caught:
        view_store(state(bucket), "p").__enter__()
    assert caught.value.code == "state_damaged"
    assert "remove all objects below memory://bucket/ktrans/state/p/" in caught.value.hint


@pytest.mark.parametrize("name", ["log", "checkpoints", "lease"])
def test_what_others_have_written_is_told(bucket, name):
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        epochs(store, 3)
    for key in [key for key in bucket.objects if f"/{name}" in key]:
        bucket.objects[key] = bucket.objects[key]._replace(data=b"hello")
    with pytest.raises(StateError) as caught:
        hold_store(state(bucket), "p").__enter__()
    assert caught.value.code == "state_damaged"


def test_what_a_newer_ktrans_has_written_is_refused(bucket, monkeypatch):
    with hold_store(state(bucket), "p") as store, monkeypatch.context() as newer:
        newer.setattr("ktrans.kit.state.transaction_log.STATE_VERSION", tables.STATE_VERSION + 1)
        store.claim("p", FILE)
    with pytest.raises(StateError) as caught:
        view_store(state(bucket), "p").__enter__()
    assert caught.value.code == "state_too_new"


class Careless(MemoryStateBucket):
    """Writes whatever it is asked to."""

    def create(self, key, data):
        return self._put(key, data)


def test_a_server_that_ignores_conditions_is_found_out():
    for use in (lambda made: hold_store(made, "p").__enter__(), lambda made: made.check()):
        bucket = Careless()
        with pytest.raises(StateError, match="ignores If-None-Match") as caught:
            use(state(bucket))
        assert caught.value.code == "state_unsafe"
        assert not [key for key in bucket.objects if "probe" in key]


@pytest.fixture
def _beats_often(monkeypatch):
    monkeypatch.setattr("ktrans.kit.state.lease.RENEWALS", 300)


@pytest.mark.usefixtures("_beats_often")
def test_a_lease_is_renewed_while_it_is_held(bucket):
    with hold_store(state(bucket, lease_time=60), "p") as store:
        first = until(bucket)
        deadline = time.monotonic() + 60
        while until(bucket) == first:
            assert time.monotonic() < deadline, "the lease was not renewed"
        with pytest.raises(LockedError) as caught:
            hold_store(state(bucket), "p").__enter__()
        assert caught.value.until > first
        store.claim("p", FILE)
    assert until(bucket) <= datetime.now(UTC)


@pytest.mark.usefixtures("_beats_often")
def test_a_lease_outlives_errors_that_nobody_foresaw(bucket, caplog):
    with hold_store(state(bucket, lease_time=60), "p"):
        first, replace, failed = until(bucket), bucket.replace, threading.Event()

        def odd(key, data, version):
            if not failed.is_set():
                failed.set()
                raise ValueError("the SDK is confused")
            return replace(key, data, version)

        bucket.replace = odd
        assert failed.wait(60)
        deadline = time.monotonic() + 60
        while until(bucket) == first:
            assert time.monotonic() < deadline, "the lease was not renewed"
    assert "the lease on p was not renewed: the SDK is confused" in caplog.text


def test_a_lease_whose_last_renewal_was_not_answered_is_given_back(bucket):
    key = f"{ROOT}lease.json"
    with hold_store(state(bucket), "p"):
        there = bucket.objects[key]
        bucket.replace(key, there.data, there.version)  # arrived, and the holder never heard of it
    assert until(bucket) <= datetime.now(UTC)


@pytest.mark.usefixtures("_beats_often")
def test_a_lease_that_cannot_be_renewed_for_a_while_is_renewed_afterwards(bucket, caplog):
    with hold_store(state(bucket, lease_time=60), "p") as store:
        first, replace, failed = until(bucket), bucket.replace, threading.Event()

        def silent(key, data, version):
            if not failed.is_set():
                failed.set()
                raise RetryableError("the bucket does not answer")
            return replace(key, data, version)

        bucket.replace = silent
        assert failed.wait(60)
        deadline = time.monotonic() + 60
        while until(bucket) == first:
            assert time.monotonic() < deadline, "the lease was not renewed"
        store.claim("p", FILE)
    assert "the lease on p was not renewed: the bucket does not answer" in caplog.text


def test_a_holder_whose_renewal_is_refused_knows_before_it_writes(bucket):
    with hold_store(state(bucket), "p") as store:
        store.claim("p", FILE)
        expire(bucket)
        told = json.loads(bucket.objects[f"{ROOT}lease.json"].data)
        bucket.objects[f"{ROOT}lease.json"] = bucket.objects[f"{ROOT}lease.json"]._replace(
            data=json.dumps({**told, "token": "another"}).encode(), version="another"
        )
        with pytest.raises(FencedError):
            store.confirm()
        before = dict(bucket.objects)
        with pytest.raises(FencedError):
            store.plan("p", an_epoch())
        assert bucket.objects == before


def test_a_lease_by_a_clock_that_is_far_ahead_is_told_and_how_to_get_rid_of_it(bucket):
    key = f"{ROOT}lease.json"
    with hold_store(state(bucket), "p"):
        pass
    told = {**json.loads(bucket.objects[key].data), "until": "2999-01-01T00:00:00+00:00"}
    bucket.objects[key] = bucket.objects[key]._replace(data=json.dumps(told).encode())
    with pytest.raises(LockedError) as caught:
        hold_store(state(bucket), "p").__enter__()
    assert f"remove memory://bucket/{key}" in caught.value.hint
    bucket.delete(key)
    with hold_store(state(bucket), "p"):
        pass


def test_a_lease_that_somebody_removed_is_lost(bucket):
    with hold_store(state(bucket), "p") as store:
        del bucket.objects[f"{ROOT}lease.json"]
        with pytest.raises(FencedError):
            store.claim("p", FILE)


def until(bucket):
    told = json.loads(bucket.objects[f"{ROOT}lease.json"].data)
    return datetime.fromisoformat(told["until"])


# -- the same as a file, whatever happens -------------------------------------------------------

OPERATIONS = {
    "quarantine": (Status.PLANNED, lambda store, epoch: store.quarantine("p", epoch, QUARANTINED)),
    "clear_quarantine": (Status.PLANNED, lambda store, epoch: store.clear_quarantine("p", epoch)),
    "set_fingerprint": (Status.PLANNED, lambda store, epoch: store.set_fingerprint("p", epoch)),
    "drop": (Status.PLANNED, lambda store, epoch: store.drop("p", epoch)),
    "stage": (Status.PLANNED, lambda store, epoch: store.stage("p", staged(epoch))),
    "unstage": (Status.COMMITTING, lambda store, epoch: store.unstage("p", epoch)),
    "record": (Status.COMMITTING, lambda store, epoch: store.record("p", epoch, {"splits": 1})),
    "finish": (Status.RECORDED, lambda store, epoch: store.finish("p", epoch)),
}
"""When an operation makes sense, and what it does."""
ANY_TIME = {
    "forget": lambda store: store.forget("p", ["a"]),
    "reset": lambda store: (store.reset("p"), store.claim("p", FILE)),
}
EVENTS = ["plan", "reopen", "crash", "lost answer", "no answer"]


def timeless(store):
    """Return what a store says, without times and names that are drawn by lot."""
    found = told(store)
    found.pop("history")
    for item in found["described"]["epochs"]:
        item["planned"] = item["recorded"] = None
    for item in found["described"]["quarantined"]:
        item["since"] = None
    return found


class Twins:
    """A store in a bucket and one in a file, to which the same happens."""

    def __init__(self):
        self.bucket, self.file, self.held = MemoryStateBucket(), Store(SqliteDatabase(MEMORY)), None
        self.open()
        self.both(lambda store: store.claim("p", FILE))

    def open(self):
        self.held = ExitStack()
        self.store = self.held.enter_context(hold_store(state(self.bucket), "p"))

    def both(self, do):
        for store in (self.store, self.file):
            do(store)

    def crash(self):
        self.bucket.losing = 0
        expire(self.bucket)  # nobody gives the lease back
        crashed = self.held
        self.open()
        crashed.close()

    def no_answer(self):
        """The bucket goes away in the middle of a write, which may have arrived or not."""
        before = timeless(self.file)
        self.file.forget("p", ["b"])
        self.bucket.failing = 100
        with pytest.raises(RetryableError):
            self.store.forget("p", ["b"])
        self.bucket.failing = 0
        self.held.close()
        self.open()
        assert timeless(self.store) in (before, timeless(self.file))
        self.store.forget("p", ["b"])

    def happen(self, event):
        epoch = self.file.unfinished("p")
        if event == "reopen":
            self.held.close()
            self.open()
        elif event == "crash":
            self.crash()
        elif event == "lost answer":
            self.bucket.losing = 1
        elif event == "no answer":
            self.no_answer()
        elif event == "plan":
            number = self.file.next_number("p")
            if epoch is None:
                self.both(lambda store: store.plan("p", an_epoch(number)))
        elif event in ANY_TIME:
            self.both(ANY_TIME[event])
        elif epoch is not None and epoch.status is OPERATIONS[event][0]:
            self.both(lambda store: OPERATIONS[event][1](store, store.unfinished("p")))


ALL = [*OPERATIONS, *ANY_TIME, *EVENTS]


@settings(max_examples=examples(40), deadline=None)
@given(events=st.lists(st.sampled_from([*ALL, "plan", "stage", "record", "finish"]), max_size=60))
def test_any_sequence_of_operations_and_crashes_gives_what_a_file_has(events):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktrans.kit.retry.CLOCK", MovableClock())
        twins = Twins()
        for event in events:
            twins.happen(event)
            assert timeless(twins.store) == timeless(twins.file)
        twins.bucket.losing = 0
        with view_store(state(twins.bucket), "p") as copy:
            assert timeless(copy) == timeless(twins.file)
        twins.held.close()
        twins.file.database.close()
