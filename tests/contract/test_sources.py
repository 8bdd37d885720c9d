"""What every built-in source promises to the engine, checked on each of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ktrans.api import Budget, Context, Plan, Source, Split, UsageError
from ktrans.sources.file import FileSource, FileSourceConfig
from ktrans.sources.generate import GenerateSource, GenerateSourceConfig
from ktrans.sources.stdin import StdinSource, StdinSourceConfig

LINES = [f"line {i} of the stream\n".encode() for i in range(500)]


class Store(dict):
    """The engine's memory, as JSON."""

    def recall(self, keys):
        return {key: self[key] for key in keys if key in self}

    def record(self, plan: Plan) -> None:
        self.update(json.loads(json.dumps(dict(plan.remember))))


@dataclass
class Case:
    """A source over a world that does not change, built anew as a new process would."""

    folder: Path
    name: str

    def build(self) -> Source:
        context = Context(pipeline="contract", base_dir=self.folder)
        if self.name == "file":
            return FileSource(FileSourceConfig(paths=["in/"], tail_secs=0), context)
        if self.name == "generate":
            config = GenerateSourceConfig(rows=900, rows_per_object=200, bad_ratio=0.1)
            return GenerateSource(config, context)
        read, write = os.pipe()
        if not (self.folder / "piped").exists():
            (self.folder / "piped").touch()
            os.write(write, b"".join(LINES))
        os.close(write)
        return StdinSource(StdinSourceConfig(segment_bytes=2000), context, fd=read)

    def next(self, source: Source) -> Source:
        """Give the source for the next epoch: a new one, unless the stream would be lost."""
        return source if self.name == "stdin" else self.build()


@pytest.fixture(params=["file", "generate", "stdin"])
def case(request, tmp_path) -> Case:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        (folder / f"{i}.log").write_bytes(b"".join(LINES[i * 80 : (i + 1) * 80]))
    return Case(tmp_path, request.param)


def read(source: Source, split: Split) -> bytes:
    with source.open(split) as payload:
        with payload.open() as stream:
            data = stream.read()
        payload.verify()
    return data


def drain(case: Case, budget: Budget, position=None, store=None, source=None) -> list[bytes]:
    """Run epochs to the end and give the bytes of the splits."""
    store = Store() if store is None else store
    source = source or case.build()
    out = []
    while True:
        source = case.next(source)
        plan = source.plan(position, store, budget)
        if plan is None:
            return out
        out += [read(source, split) for split in plan.splits]
        store.record(plan)
        position = json.loads(json.dumps(plan.position))
        source.commit(plan)


def test_a_split_gives_the_same_bytes_whenever_it_is_opened(case):
    source = case.build()
    plan = source.plan(None, Store(), Budget())
    first = [read(source, split) for split in plan.splits]
    assert first == [read(source, split) for split in plan.splits]
    again = case.build()
    restored = [Split.from_json(json.loads(json.dumps(s.to_json()))) for s in plan.splits]
    assert restored == list(plan.splits)
    assert [read(again, split) for split in restored] == first
    assert all(first)


def test_small_reads_and_readinto_give_the_same_bytes(case):
    source = case.build()
    split = source.plan(None, Store(), Budget()).splits[-1]
    whole = read(source, split)
    with source.open(split).open() as stream:
        pieces = []
        while piece := stream.read(77):
            pieces.append(piece)
    assert b"".join(pieces) == whole
    buffer = bytearray(50)
    with source.open(split).open() as stream:
        count = stream.readinto(buffer)
    assert 0 < count <= 50
    assert buffer[:count] == whole[:count]


def test_plans_are_json_and_their_keys_unique(case):
    plan = case.build().plan(None, Store(), Budget())
    json.dumps([plan.position, dict(plan.remember), [s.to_json() for s in plan.splits]])
    assert len({split.key for split in plan.splits}) == len(plan.splits) > 1
    assert set(plan.remember) <= {split.key for split in plan.splits}


def test_after_the_commit_it_is_caught_up(case):
    source, store = case.build(), Store()
    plan = source.plan(None, store, Budget())
    store.record(plan)
    source.commit(plan)
    source.commit(plan)
    assert source.plan(plan.position, store, Budget()) is None
    assert case.build().plan(plan.position, store, Budget()) is None


def test_planning_twice_without_a_commit_gives_the_same_plan(case):
    source = case.build()
    plan = source.plan(None, Store(), Budget(splits=2))
    assert source.plan(None, Store(), Budget(splits=2)) == plan
    assert case.build().plan(None, Store(), Budget(splits=2)) == plan


@pytest.mark.parametrize("budget", [Budget(splits=1), Budget(splits=2), Budget(bytes=3000)])
def test_the_budget_is_kept_and_changes_nothing_but_the_epochs(case, budget):
    plan = case.build().plan(None, Store(), budget)
    sizes = [split.size or 0 for split in plan.splits]
    assert len(sizes) <= budget.splits
    assert sum(sizes[:-1]) < budget.bytes
    in_steps = b"".join(drain(fresh(case), budget))
    assert in_steps == b"".join(drain(fresh(case), Budget()))


def fresh(case: Case) -> Case:
    """Let standard input be piped in once more."""
    (case.folder / "piped").unlink(missing_ok=True)
    shutil.rmtree(case.folder / ".ktrans", ignore_errors=True)
    return case


def test_it_goes_on_behind_any_prefix_that_was_committed(case):
    whole = drain(case, Budget())
    for count in range(1, len(whole)):
        fresh(case)
        store = Store()
        source = case.build()
        plan = source.plan(None, store, Budget(splits=count))
        store.record(plan)
        head = [read(source, split) for split in plan.splits]
        source.commit(plan)
        assert b"".join(head + drain(case, Budget(), plan.position, store, source)) == b"".join(
            whole
        )


def test_a_position_that_makes_no_sense_is_a_usage_error(case):
    with pytest.raises(UsageError):
        case.build().position_from("banana")


def test_close_is_safe_twice_and_without_use(case):
    source = case.build()
    source.close()
    source.close()
