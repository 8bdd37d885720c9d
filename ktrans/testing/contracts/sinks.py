"""The contract of sinks: an epoch is visible completely or not at all, and once."""

from __future__ import annotations

import abc
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from ktrans.api import EpochId, Receipt, Sink, TaskId
from ktrans.api.spec import Kind
from ktrans.kit.rows.refuse import encode_rows
from ktrans.testing.contracts.covered import ComponentContract
from ktrans.testing.hostile import TEXTS

SCHEMA = pa.schema([("account", pa.dictionary(pa.int32(), pa.string())), ("n", pa.int64())])
"""The rows of the contract: `n` is unique, `account` has three values."""

EPOCH = EpochId("flows", 1)
FIRST, SECOND = TaskId(EPOCH, 0), TaskId(EPOCH, 1)


def batches(task: TaskId) -> list[pa.RecordBatch]:
    """Return the rows of a task, always the same ones: three batches of 40."""
    first = 100_000 * task.epoch.number + 1000 * task.index
    return [
        pa.record_batch(
            {
                "account": pa.array([f"a{i % 3}" for i in range(40)]).dictionary_encode(),
                "n": pa.array(range(first + 40 * k, first + 40 * k + 40)),
            }
        )
        for k in range(3)
    ]


def numbers(*tasks: TaskId) -> list[int]:
    """Return `n` of all rows of some tasks, sorted."""
    return sorted(n for task in tasks for batch in batches(task) for n in batch["n"].to_pylist())


def run(sink: Sink[Any], task: TaskId) -> Receipt:
    """Write a task to its end."""
    writer = sink.writer(task)
    for batch in batches(task):
        writer.write(writer.encode(batch))
    receipt = writer.finish()
    assert not writer.refused()
    return receipt


def revived(receipt: Receipt) -> Receipt:
    """Return a receipt as the state store returns it after a crash."""
    return Receipt.from_json(json.loads(json.dumps(receipt.to_json())))


class SinkCase(abc.ABC):
    """A place to write to, and a look at what others can see of it.

    Attributes:
        stages: whether rows stay invisible until the commit; a sink that writes at once instead
            overwrites a row that is written again.
        revives: whether receipts are enough to commit in a new process. A sink whose staged rows
            die with its process raises StageLostError instead, and the engine does the epoch again.
        shows: whether there is anything for readers to see.
    """

    stages = True
    revives = True
    shows = True

    @abc.abstractmethod
    def sink(self, name: str = "sink", pipeline: str = "flows") -> Sink[Any]:
        """Build a sink as a new process would, bound to SCHEMA."""

    @abc.abstractmethod
    def rows(self) -> list[int]:
        """Return `n` of all visible rows, sorted."""

    def expected(self, *tasks: TaskId) -> list[int]:
        """Return `n` of the rows that readers should see once some tasks are committed, sorted."""
        return numbers(*tasks) if self.shows else []

    def leftovers(self) -> list[str]:
        """Return the names of invisible remains: staged files, open uploads."""
        return []


class SinkContract(ComponentContract):
    """Inherit this and give a fixture `case` that returns a SinkCase."""

    kind: ClassVar[Kind] = "sink"

    @pytest.fixture
    def case(self) -> SinkCase:
        """Return the case; to be overridden."""
        raise NotImplementedError

    def test_nothing_is_visible_before_the_commit_and_all_of_it_after(self, case: SinkCase) -> None:
        """Readers see whole epochs."""
        sink = case.sink()
        sink.prepare(EPOCH)
        receipts = [run(sink, FIRST), run(sink, SECOND)]
        if case.stages:
            assert case.rows() == [], "rows can be seen before the commit"
        sink.commit(EPOCH, receipts)
        assert case.rows() == case.expected(FIRST, SECOND)
        assert [receipt.rows for receipt in receipts] == [120, 120]

    def test_receipts_name_what_readers_can_find(self, case: SinkCase) -> None:
        """Their outputs are shown to people: files that exist, or URIs; nothing that is staged."""
        sink = case.sink()
        sink.prepare(EPOCH)
        receipt = run(sink, FIRST)
        sink.commit(EPOCH, [receipt])
        for output in receipt.outputs:
            assert ".ktrans" not in output
            assert Path(output).is_file() or "://" in output or output == "standard output"

    def test_a_commit_leaves_nothing_about(self, case: SinkCase) -> None:
        """Nothing staged remains."""
        sink = case.sink()
        sink.prepare(EPOCH)
        sink.commit(EPOCH, [run(sink, FIRST)])
        assert case.leftovers() == []

    def test_committing_twice_changes_nothing(self, case: SinkCase) -> None:
        """A run that died during its commits repeats all of them."""
        sink = case.sink()
        sink.prepare(EPOCH)
        receipts = [run(sink, FIRST)]
        sink.commit(EPOCH, receipts)
        sink.commit(EPOCH, receipts)
        sink.close()
        if case.revives:
            case.sink().commit(EPOCH, [revived(receipt) for receipt in receipts])
        assert case.rows() == case.expected(FIRST), "a commit that was repeated changed the rows"

    def test_abort_leaves_nothing_and_may_be_called_twice(self, case: SinkCase) -> None:
        """Before `finish` and after it."""
        sink = case.sink()
        sink.prepare(EPOCH)
        writer = sink.writer(FIRST)
        writer.write(writer.encode(batches(FIRST)[0]))
        writer.abort()
        writer.abort()
        writer = sink.writer(FIRST)
        writer.write(writer.encode(batches(FIRST)[0]))
        writer.finish()
        writer.abort()
        if case.stages:
            assert case.rows() == []
            assert case.leftovers() == []

    def test_a_run_killed_after_finish_is_done_again_and_rows_arrive_once(
        self, case: SinkCase
    ) -> None:
        """One task had finished and another one was half-way when the process died."""
        gone = case.sink()
        gone.prepare(EPOCH)
        run(gone, FIRST)
        half = gone.writer(SECOND)
        half.write(half.encode(batches(SECOND)[0]))
        again = case.sink()
        again.prepare(EPOCH)
        again.commit(EPOCH, [run(again, FIRST), run(again, SECOND)])
        assert case.rows() == case.expected(FIRST, SECOND)
        assert case.leftovers() == []
        half.abort()  # what the dead process held, and a zombie would still do
        gone.close()
        again.close()
        assert case.rows() == case.expected(FIRST, SECOND)

    def test_receipts_are_enough_to_commit_in_a_new_process(self, case: SinkCase) -> None:
        """Or the sink says that they are not, and the epoch is processed again."""
        from ktrans.api import StageLostError

        sink = case.sink()
        sink.prepare(EPOCH)
        receipts = [revived(run(sink, FIRST)), revived(run(sink, SECOND))]
        sink.close()
        fresh = case.sink()
        if not case.revives:
            with pytest.raises(StageLostError):
                fresh.commit(EPOCH, receipts)
            fresh.prepare(EPOCH)
            receipts = [run(fresh, FIRST), run(fresh, SECOND)]
        fresh.commit(EPOCH, receipts)
        fresh.close()
        assert case.rows() == case.expected(FIRST, SECOND)

    def test_other_instances_stage_what_this_one_commits(self, case: SinkCase) -> None:
        """If it `stages` elsewhere, nothing but the receipts passes between them."""
        sink = case.sink()
        if sink.stages == "here":
            pytest.skip("it stages only in the process that commits")
        sink.prepare(EPOCH)
        receipts = []
        for task in (FIRST, SECOND):
            worker = case.sink()
            receipts.append(revived(run(worker, task)))
            worker.close()
        if case.stages:
            assert case.rows() == [], "rows can be seen before the commit"
        sink.commit(EPOCH, receipts)
        sink.close()
        assert case.rows() == case.expected(FIRST, SECOND)
        assert case.leftovers() == []

    def test_two_attempts_at_a_task_may_write_at_once(self, case: SinkCase) -> None:
        """A worker that was taken for dead goes on, beside the one that does its task again."""
        sink = case.sink()
        if sink.stages == "here":
            pytest.skip("it stages only in the process that commits")
        sink.prepare(EPOCH)
        worker, other = case.sink(), case.sink()
        lost, half, wins = (one.writer(FIRST) for one in (worker, worker, other))
        for batch in batches(FIRST):
            for writer in (lost, half, wins):
                writer.write(writer.encode(batch))
        before = revived(lost.finish())
        receipt = revived(wins.finish())
        if case.stages:
            assert case.rows() == [], "rows can be seen before the commit"
        assert receipt.outputs == before.outputs, "what is published has another name each time"
        sink.commit(EPOCH, [receipt])
        assert case.rows() == case.expected(FIRST)
        with contextlib.suppress(Exception):  # what it had staged may be gone
            half.write(half.encode(batches(FIRST)[0]))
            half.finish()
        lost.abort()
        sink.commit(EPOCH, [receipt])
        assert case.rows() == case.expected(FIRST), "an attempt that lost changed what is published"
        sink.prepare(EpochId("flows", 2))
        assert case.leftovers() == []
        for one in (sink, worker, other):
            one.close()

    def test_an_attempt_that_gives_up_leaves_the_other_alone(self, case: SinkCase) -> None:
        """Also in one process, which does the same task twice."""
        sink = case.sink()
        if sink.stages == "here":
            pytest.skip("it stages only in the process that commits")
        sink.prepare(EPOCH)
        worker = case.sink()
        wins, lost = worker.writer(FIRST), worker.writer(FIRST)
        for writer in (wins, lost):
            writer.write(writer.encode(batches(FIRST)[0]))
        lost.abort()
        for batch in batches(FIRST)[1:]:
            wins.write(wins.encode(batch))
        receipt = wins.finish()
        again = worker.writer(FIRST)
        again.write(again.encode(batches(FIRST)[0]))
        again.abort()
        worker.close()
        sink.commit(EPOCH, [receipt])
        sink.close()
        assert case.rows() == case.expected(FIRST)
        assert case.leftovers() == []

    def test_epochs_follow_each_other(self, case: SinkCase) -> None:
        """Rows of earlier epochs stay where they are."""
        sink, second = case.sink(), EpochId("flows", 2)
        sink.prepare(EPOCH)
        sink.commit(EPOCH, [run(sink, FIRST)])
        sink.prepare(second)
        sink.commit(second, [run(sink, TaskId(second, 0))])
        assert case.rows() == case.expected(FIRST, TaskId(second, 0))

    def test_pipelines_and_sinks_share_a_place_without_meeting(self, case: SinkCase) -> None:
        """Preparing an epoch of one touches nothing of the others."""
        sink, other, foreign = case.sink(), case.sink("more"), case.sink(pipeline="others")
        waiting = [run(other, FIRST), run(foreign, TaskId(EpochId("others", 1), 0))]
        sink.prepare(EPOCH)
        sink.commit(EPOCH, [run(sink, FIRST)])
        sink.prepare(EpochId("flows", 2))
        other.commit(EPOCH, waiting[:1])
        foreign.commit(EpochId("others", 1), waiting[1:])
        for one in (sink, other, foreign):
            one.close()
        expected = sorted(case.expected(FIRST) * 3) if case.stages else case.expected(FIRST)
        assert case.rows() == expected

    def test_a_task_without_rows_leaves_nothing(self, case: SinkCase) -> None:
        """Not even an empty file."""
        sink = case.sink()
        sink.prepare(EPOCH)
        writer = sink.writer(FIRST)
        receipt = writer.finish()
        sink.commit(EPOCH, [receipt])
        assert receipt.rows == 0
        assert case.rows() == []
        assert case.leftovers() == []

    def test_no_row_stops_the_others(self, case: SinkCase) -> None:
        """Whoever writes the logs chooses the values: a row is written, or refused with a reason."""
        accounts = pa.array([f"a{i}" for i in range(3)] + list(TEXTS), pa.string())
        rows = pa.record_batch(
            {"account": accounts.dictionary_encode(), "n": pa.array(range(1, len(accounts) + 1))}
        )
        sink = case.sink()
        sink.prepare(EPOCH)
        writer = sink.writer(FIRST)
        encoded, refused = encode_rows(writer.encode, rows)
        for each in encoded:
            writer.write(each)
        receipt = writer.finish()
        refused += writer.refused()
        sink.commit(EPOCH, [receipt])
        sink.close()
        assert all(each.reason and each.detail for each in refused)
        bad = {n for each in refused for n in each.rows["n"].to_pylist()}
        assert receipt.rows + len(bad) == rows.num_rows
        assert not bad & {1, 2, 3}, "good rows were refused"
        if case.shows:
            assert case.rows() == [n for n in rows["n"].to_pylist() if n not in bad]

    @pytest.fixture
    def component(self, case: SinkCase) -> Iterator[Sink[Any]]:
        """Return a sink; it leaves nothing about if it is closed without use."""
        yield case.sink()
        assert case.leftovers() == []
