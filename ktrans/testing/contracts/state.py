"""The contract of state stores: what was written is kept, and only one run writes."""

from __future__ import annotations

import abc
import datetime as dt
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ktrans.api import FencedError, LockedError, Receipt, Split, StateUpdate
from ktrans.api.spec import Kind
from ktrans.api.state import StateStore
from ktrans.state.epochs import Epoch, Quarantine, Status
from ktrans.state.export import export, load
from ktrans.state.rewind import plan_rewind, rewind
from ktrans.state.snapshots import snapshot
from ktrans.state.store import Store, hold_store, view_store
from ktrans.testing.contracts.covered import Contract

FILE = Path("flows.yaml")
QUARANTINED = Quarantine("b", "x://b", "waiting", "busy", "the host does not answer")


def an_epoch(number: int = 1) -> Epoch:
    """Make an epoch of two tasks, with what a source may want to remember."""
    tasks = [[Split("a", "x://a", 1, {"v": 1})], [Split("b", "x://b"), Split("ü/'%?", "x://ü")]]
    remember = {"a": {"size": 1}, "b": [number], "ü/'%?": None}
    return Epoch(
        number, tasks, {"at": number}, remember, "print", source="file:1", extra={"torn": []}
    )


def staged(epoch: Epoch) -> Epoch:
    """Add what tasks give: receipts, a ledger, and bytes that enrichers keep."""
    epoch.receipts = {"lake": [Receipt(2, 10), Receipt(3, 11)]}
    epoch.ledger = {"records": 5}
    epoch.updates = {"totals": StateUpdate((b"\x00\xff" * 100, bytes(range(256))), True, 7)}
    return epoch


STEPS: dict[str, Any] = {
    "plan": lambda store, epoch: store.plan("p", epoch),
    "quarantine": lambda store, epoch: store.quarantine("p", epoch, QUARANTINED),
    "stage": lambda store, epoch: store.stage("p", staged(epoch)),
    "record": lambda store, epoch: store.record("p", epoch, {"splits": 3}),
    "finish": lambda store, epoch: store.finish("p", epoch),
}
"""The life of an epoch."""

WRITES: dict[str, Any] = {
    **STEPS,
    "plan": lambda store, _epoch: store.plan("p", an_epoch(9)),
    "claim": lambda store, _epoch: store.claim("other", FILE),
    "clear_quarantine": lambda store, epoch: store.clear_quarantine("p", epoch),
    "begin": lambda store, epoch: store.begin("p", epoch),
    "leave": lambda store, epoch: store.leave("p", epoch),
    "set_fingerprint": lambda store, epoch: store.set_fingerprint("p", epoch),
    "unstage": lambda store, epoch: store.unstage("p", epoch),
    "drop": lambda store, epoch: store.drop("p", epoch),
    "forget": lambda store, _epoch: store.forget("p", ["a"]),
    "reset": lambda store, _epoch: store.reset("p"),
}
"""All writes."""


def told(store: Store) -> dict[str, Any]:
    """Return all that can be asked of a store about the pipeline p."""
    unfinished = store.unfinished("p")
    carried = snapshot(store, "p", "totals", 100)
    return {
        "described": store.describe("p"),
        "history": store.history("p"),
        "next": store.next_number("p"),
        "memory": store.memory("p").recall(["a", "b", "ü/'%?"]),
        "unfinished": unfinished and (unfinished.number, unfinished.status, unfinished.quarantined),
        "kept": (carried.version, list(carried.read())),
    }


def _delete_and_fail(store: Store) -> None:
    with store.transaction() as db:
        db.execute("DELETE FROM pipelines")
        raise ZeroDivisionError


class StateCase(abc.ABC):
    """A place to keep state in."""

    @abc.abstractmethod
    def state(self) -> StateStore[Any]:
        """Build the store as a new process would."""

    def expire(self) -> None:
        """Let the hold on the pipeline p run out, as if its holder had stood still.

        Given by cases of `StateTakeoverContract`.
        """
        raise NotImplementedError

    def crash(self, held: ExitStack) -> None:
        """End a hold as the death of its process would."""
        held.close()


class StateContract(Contract):
    """Subclass it and give a fixture `case`."""

    kind: ClassVar[Kind] = "state"

    @pytest.fixture
    def case(self) -> StateCase:
        """Return the case."""
        raise NotImplementedError

    def test_nothing_is_kept_at_first(self, case: StateCase) -> None:
        """Looking at nothing finds nothing, and makes nothing."""
        with case.state() as state:
            assert state.pipelines() == []
            with view_store(state, "p") as store:
                assert store.unfinished("p") is None
                assert store.describe("p")["epochs"] == []
            assert state.pipelines() == []

    def test_an_epoch_survives_reopening_between_all_its_steps(self, case: StateCase) -> None:
        """Every step is found again by another process, and the next one goes on from there."""
        statuses = [Status.PLANNED, Status.PLANNED, Status.COMMITTING, Status.RECORDED, None]
        epoch = an_epoch()
        with case.state() as state, hold_store(state, "p") as store:
            store.claim("p", FILE)
        for step, status in zip(STEPS.values(), statuses, strict=True):
            with case.state() as state, hold_store(state, "p") as store:
                step(store, epoch)
            with case.state() as state, hold_store(state, "p", "again") as store:
                found = store.unfinished("p")
                assert (found and found.status) == status
                assert store.next_number("p") == 2  # noqa: PLR2004
                if found is None:
                    continue
                epoch = found
                if status is not Status.RECORDED:
                    assert found.tasks == an_epoch().tasks
                if status is Status.COMMITTING:
                    assert found.receipts == {"lake": [Receipt(2, 10), Receipt(3, 11)]}
                    assert found.ledger == {"records": 5}
                    assert found.quarantined == {"b": QUARANTINED}
        with case.state() as state, view_store(state, "p") as store:
            assert store.position("p", "file") == {"at": 1}
            assert store.position("p", "other") is None
            assert store.memory("p").recall(["a", "b", "c"]) == {"a": {"size": 1}}
            assert [item["key"] for item in store.quarantined("p")] == ["b"]
            assert snapshot(store, "p", "totals", 2).read() == [
                b"\x00\xff" * 100,
                bytes(range(256)),
            ]
            assert store.describe("p")["open"] == {"totals": 7}
            assert state.pipelines() == ["p"]

    def test_an_epoch_counts_the_processes_that_began_it_and_did_not_leave(
        self, case: StateCase
    ) -> None:
        """The first process began it with the plan; whoever does not leave has died."""
        with case.state() as state, hold_store(state, "p") as store:
            store.claim("p", FILE)
            store.plan("p", an_epoch())
        for step, count in (("begin", 2), ("begin", 3), ("leave", 2)):
            with case.state() as state, hold_store(state, "p") as store:
                epoch = store.unfinished("p")
                assert epoch is not None
                WRITES[step](store, epoch)
                assert epoch.begun == count
            with case.state() as state, view_store(state, "p") as store:
                again = store.unfinished("p")
                assert again is not None
                assert again.begun == count

    def test_changes_are_seen_by_who_looks_while_it_is_held(self, case: StateCase) -> None:
        """A look needs no hold, shows what was written, and its own changes go nowhere."""
        with case.state() as state, hold_store(state, "p") as store:
            store.claim("p", FILE)
            store.plan("p", an_epoch())
            with case.state() as other, view_store(other, "p") as copy:
                assert told(copy) == told(store)
                copy.reset("p")
            assert store.unfinished("p") is not None

    def test_a_second_run_is_refused_while_one_holds_the_pipeline(self, case: StateCase) -> None:
        """The error says who; when the first has ended the second gets in."""
        with case.state() as state, hold_store(state, "p", "first-run"):
            with pytest.raises(LockedError, match=r"'p' is under way .*first-run"):
                hold_store(case.state(), "p").__enter__()
            with case.state() as other, hold_store(other, "q"):
                pass
        with case.state() as state, hold_store(state, "p"):
            pass

    def test_a_block_that_fails_leaves_nothing_half_written(self, case: StateCase) -> None:
        """A transaction is undone as a whole; the store goes on."""
        with case.state() as state, hold_store(state, "p") as store:
            store.claim("p", FILE)
            before = told(store)
            with pytest.raises(ZeroDivisionError):
                _delete_and_fail(store)
            assert told(store) == before
            store.plan("p", an_epoch())
        with case.state() as state, view_store(state, "p") as store:
            assert store.history("p") == before["history"]
            assert store.unfinished("p") is not None

    def test_pipelines_do_not_see_each_other(self, case: StateCase) -> None:
        """Names that begin alike too."""
        for name in ("p", "p2", "p-2"):
            with case.state() as state, hold_store(state, name) as store:
                store.claim(name, FILE)
                store.plan(name, an_epoch())
                store.stage(name, staged(an_epoch()))
                store.record(name, an_epoch(), {})
        with case.state() as state:
            with hold_store(state, "p") as store:
                store.reset("p")
            with view_store(state, "p") as store:
                assert store.position("p") is None
            for name in ("p2", "p-2"):
                with view_store(state, name) as store:
                    assert store.position(name) == {"at": 1}
                    assert store.memory(name).recall(["a"]) == {"a": {"size": 1}}

    def test_a_reset_forgets_all_and_begins_another_history(self, case: StateCase) -> None:
        """Nothing of before is found; names of outputs differ from those of before."""
        with case.state() as state, hold_store(state, "p") as store:
            store.claim("p", FILE)
            history = store.history("p")
            for step in STEPS.values():
                step(store, an_epoch())
            store.reset("p")
        with case.state() as state, hold_store(state, "p") as store:
            assert store.next_number("p") == 1
            assert store.memory("p").recall(["a"]) == {}
            assert store.quarantined("p") == []
            assert snapshot(store, "p", "totals", 100).read() == []
            store.claim("p", FILE)
            assert store.history("p") not in {"", history}

    def test_going_back_leads_to_what_was_and_survives_reopening(self, case: StateCase) -> None:
        """The memory is that of the earlier epoch; an export of it is another store's memory."""
        stood: dict[int, Any] = {}
        with case.state() as state, hold_store(state, "p") as store:
            store.claim("p", FILE)
            for number in (1, 2, 3):
                epoch = an_epoch(number)
                for step in (store.plan, store.stage):
                    step("p", epoch)
                store.record("p", epoch, {"splits": 3})
                store.finish("p", epoch)
                stood[number] = (store.position("p"), store.memory("p").recall(["a", "b"]))
            recorded = store.describe("p")["epochs"][-1]["recorded"]
            way = plan_rewind(store, "p", dt.datetime.fromisoformat(recorded))
            rewind(store.database, "p", way, dt.datetime.now(dt.UTC))
        with case.state() as state, hold_store(state, "p") as store:
            assert (store.position("p"), store.memory("p").recall(["a", "b"])) == stood[way.to]
            assert store.next_number("p") == 4  # noqa: PLR2004
            lines = [json.dumps(record) for record in export(store, "p")]
        with case.state() as state, hold_store(state, "q") as store:
            load(store, "q", FILE, lines)
            assert (store.position("q"), store.memory("q").recall(["a", "b"])) == stood[way.to]

    def test_a_store_opens_after_a_crash_at_any_step(self, case: StateCase) -> None:
        """The holder dies after each of its steps; what it had done is there, and no more."""
        for number in range(1, len(STEPS) + 1):
            with ExitStack() as held:
                store = held.enter_context(hold_store(held.enter_context(case.state()), "p"))
                store.claim("p", FILE)
                found = store.unfinished("p")
                if found is not None:
                    store.drop("p", found)
                for step in list(STEPS.values())[:number]:
                    step(store, an_epoch(number))
                expected = told(store)
                case.crash(held)
            with case.state() as state, hold_store(state, "p") as store:
                assert told(store) == expected


class StateTakeoverContract(StateContract):
    """For stores whose holds run out while their process lives: the case has an `expire`."""

    @pytest.mark.parametrize("write", WRITES)
    def test_who_was_taken_over_writes_no_more(self, case: StateCase, write: str) -> None:
        """After a takeover every write of the earlier holder is refused and changes nothing."""
        with ExitStack() as first:
            old = first.enter_context(hold_store(first.enter_context(case.state()), "p", "old"))
            old.claim("p", FILE)
            old.plan("p", an_epoch())
            case.expire()
            with case.state() as state, hold_store(state, "p", "new") as new:
                before = told(new)
                for _ in range(2):
                    with pytest.raises(FencedError):
                        WRITES[write](old, an_epoch())
                with pytest.raises(FencedError):
                    old.confirm()
                assert told(new) == before
                new.stage("p", staged(an_epoch()))
                new.record("p", an_epoch(), {})
                after = told(new)
                with pytest.raises(FencedError):
                    WRITES[write](old, an_epoch(2))
            first.close()  # the old holder lets go of what is not its own any more
            with case.state() as state, hold_store(state, "p") as store:
                assert told(store) == after
