"""The contract of sources: the same bytes on each read, none lost and none twice."""

from __future__ import annotations

import abc
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from ktrans.api import Budget, Plan, Source, Split, UsageError
from ktrans.api.spec import Kind
from ktrans.testing.contracts.covered import ComponentContract


class PlainMemory(dict[str, Any]):
    """What the state store remembers, as JSON: the `memory` of `Source.plan`."""

    def recall(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the remembered value of each key that has one."""
        return {key: self[key] for key in keys if key in self}

    def record(self, plan: Plan) -> None:
        """Store the plan's values, as the engine does when an epoch is recorded."""
        for key, value in json.loads(json.dumps(dict(plan.remember))).items():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value


class SourceCase(abc.ABC):
    """A source over a world of several splits that does not change by itself."""

    @abc.abstractmethod
    def build(self) -> Source[Any]:
        """Build the source as a new process would."""

    def next(self, source: Source[Any]) -> Source[Any]:
        """Return the source for the next epoch: a new one, unless what it holds would be lost."""
        del source
        return self.build()

    def fresh(self) -> None:
        """Restore the state before anything was read (acknowledged, drained)."""


def read(source: Source[Any], split: Split) -> bytes:
    """Read a split to its end and verify its payload."""
    with source.open(split) as payload:
        with payload.open() as stream:
            data = stream.read()
        payload.verify()
    return data


def drain(
    case: SourceCase,
    budget: Budget | None = None,
    position: Any = None,
    memory: PlainMemory | None = None,
    source: Source[Any] | None = None,
) -> list[bytes]:
    """Run epochs until the source is caught up; return the bytes of all splits in order."""
    memory = PlainMemory() if memory is None else memory
    source = source or case.build()
    out: list[bytes] = []
    while True:
        source = case.next(source)
        plan = source.plan(position, memory, budget or Budget())
        if plan is None or not plan.splits:
            return out
        out += [read(source, split) for split in plan.splits]
        memory.record(plan)
        position = json.loads(json.dumps(plan.position))
        source.commit(plan)


class SourceContract(ComponentContract):
    """Inherit this and give a fixture `case` that returns a SourceCase."""

    kind: ClassVar[Kind] = "source"

    @pytest.fixture
    def case(self) -> SourceCase:
        """Return the case; to be overridden."""
        raise NotImplementedError

    def plan(self, case: SourceCase, budget: Budget | None = None) -> tuple[Source[Any], Plan]:
        """Return a source and its first plan."""
        source = case.build()
        plan = source.plan(None, PlainMemory(), budget or Budget())
        assert plan is not None
        assert plan.splits
        return source, plan

    def test_a_split_gives_the_same_bytes_whenever_it_is_opened(self, case: SourceCase) -> None:
        """Also in a new process, which has the split from JSON."""
        source, plan = self.plan(case)
        first = [read(source, split) for split in plan.splits]
        assert all(first), "a split has no bytes"
        assert first == [read(source, split) for split in plan.splits], (
            "a split gave other bytes when it was opened again"
        )
        restored = [Split.from_json(json.loads(json.dumps(s.to_json()))) for s in plan.splits]
        assert restored == list(plan.splits)
        again = case.next(source)
        assert [read(again, split) for split in restored] == first, (
            "in a new process a split gave other bytes"
        )

    def test_small_reads_and_readinto_give_the_same_bytes(self, case: SourceCase) -> None:
        """Decoders read in both ways."""
        source, plan = self.plan(case)
        split = plan.splits[-1]
        whole = read(source, split)
        pieces = []
        with source.open(split) as payload, payload.open() as stream:
            while piece := stream.read(77):
                pieces.append(piece)
        assert b"".join(pieces) == whole
        buffer = bytearray(50)
        with source.open(split) as payload, payload.open() as stream:
            count = stream.readinto(buffer)  # type: ignore[attr-defined]
        assert 0 < count <= len(buffer)
        assert buffer[:count] == whole[:count]

    def test_plans_are_json_and_their_keys_unique(self, case: SourceCase) -> None:
        """The plan is written down before any data is read."""
        _, plan = self.plan(case)
        json.dumps([plan.position, dict(plan.remember), [s.to_json() for s in plan.splits]])
        assert len({split.key for split in plan.splits}) == len(plan.splits)

    def test_after_the_commit_it_is_caught_up(self, case: SourceCase) -> None:
        """And a commit that is repeated after a crash does no harm."""
        source, memory = case.build(), PlainMemory()
        position = None
        while (plan := source.plan(position, memory, Budget())) is not None and plan.splits:
            memory.record(plan)
            position = plan.position
            source.commit(plan)
            source.commit(plan)
        assert not drain(case, None, position, memory, source), "it gives again what was committed"

    def test_planning_twice_without_a_commit_gives_the_same_plan(self, case: SourceCase) -> None:
        """Planning changes nothing."""
        source, plan = self.plan(case, Budget(splits=2))
        assert source.plan(None, PlainMemory(), Budget(splits=2)) == plan, (
            "planning changed what the next plan has"
        )

    @pytest.mark.parametrize("budget", [Budget(splits=1), Budget(splits=2), Budget(bytes=3000)])
    def test_the_budget_is_kept_and_changes_nothing_but_the_epochs(
        self, case: SourceCase, budget: Budget
    ) -> None:
        """However the input is cut into epochs, its bytes are the same."""
        _, plan = self.plan(case, budget)
        sizes = [split.size or 0 for split in plan.splits]
        assert len(sizes) <= budget.splits
        assert sum(sizes[:-1]) < budget.bytes
        case.fresh()
        in_steps = drain(case, budget)
        case.fresh()
        assert self.same(in_steps, drain(case)), f"epochs of {budget} gave other bytes"

    def test_it_goes_on_behind_any_prefix_that_was_committed(self, case: SourceCase) -> None:
        """Nothing is lost between epochs, and nothing read twice."""
        case.fresh()
        whole = drain(case)
        for count in range(1, len(whole)):
            case.fresh()
            memory = PlainMemory()
            source = case.build()
            plan = source.plan(None, memory, Budget(splits=count))
            assert plan is not None
            memory.record(plan)
            head = [read(source, split) for split in plan.splits]
            source.commit(plan)
            rest = drain(case, None, json.loads(json.dumps(plan.position)), memory, source)
            assert self.same(head + rest, whole), (
                f"after a commit of {len(head)} splits, bytes were lost or came twice"
            )

    def test_nothing_is_settled_before_the_epoch_is_recorded(self, case: SourceCase) -> None:
        """Planning, reading and closing leave it to a new process to do the epoch again."""
        case.fresh()
        whole = drain(case)
        case.fresh()
        source, plan = self.plan(case)
        first = [read(source, split) for split in plan.splits]
        source.close()
        again, memory = case.build(), PlainMemory()
        written = json.loads(json.dumps([split.to_json() for split in plan.splits]))
        splits = tuple(map(Split.from_json, written))
        assert [read(again, split) for split in splits] == first, (
            "before its epoch was recorded, a split was used up: a new process cannot read it again"
        )
        memory.record(plan)
        position = json.loads(json.dumps(plan.position))
        again.commit(Plan(splits, position, plan.remember))
        assert self.same(first + drain(case, None, position, memory, again), whole), (
            "an epoch that was read but not recorded is missing, or came twice"
        )

    def test_another_instance_reads_what_this_one_planned(self, case: SourceCase) -> None:
        """If it `reads` elsewhere, nothing but the splits passes between them."""
        case.fresh()
        whole = drain(case)
        case.fresh()
        source, plan = self.plan(case)
        if source.reads == "here":
            pytest.skip("it reads only in the process that plans")
        worker, memory = case.build(), PlainMemory()
        written = json.loads(json.dumps([split.to_json() for split in plan.splits]))
        splits = map(Split.from_json, reversed(written))
        first = [read(worker, split) for split in splits][::-1]
        worker.close()
        memory.record(plan)
        source.commit(plan)
        rest = drain(case, None, json.loads(json.dumps(plan.position)), memory, source)
        assert self.same(first + rest, whole), "another instance read something else"

    def same(self, one: list[bytes], other: list[bytes]) -> bool:
        """Compare the results of two ways of reading; override it if order is not kept."""
        return b"".join(one) == b"".join(other)

    def test_a_position_that_makes_no_sense_is_a_usage_error(self, case: SourceCase) -> None:
        """`--from banana` is an error."""
        with pytest.raises(UsageError):
            case.build().position_from("banana")

    @pytest.fixture
    def component(self, case: SourceCase) -> Source[Any]:
        """Return a source."""
        return case.build()
