"""A crash after each single step of an epoch, resumed as the engine does it."""

from itertools import islice

import pytest

from ktrans.api import EpochId, StageLostError, TaskId
from ktrans.testing.contracts.sinks import batches, numbers, revived

pytestmark = pytest.mark.service("kafka")
TASKS = 2


class State:
    """What the engine remembers of an epoch across crashes."""

    def __init__(self):
        self.receipts = None
        self.recorded = False


def steps(sink, epoch, state):
    """Bring an epoch to its end; a process may die at each `yield`."""
    tasks = [TaskId(epoch, index) for index in range(TASKS)]
    while not state.recorded:
        if state.receipts is None:
            sink.prepare(epoch)
            yield "prepared"
            writers = [sink.writer(task) for task in tasks]
            for part in range(3):
                for task, writer in zip(tasks, writers, strict=True):
                    writer.write(writer.encode(batches(task)[part]))
                    yield f"wrote part {part} of {task}"
            receipts = []
            for writer in writers:
                receipts.append(writer.finish())
                yield "sealed"
            state.receipts = [revived(receipt) for receipt in receipts]
            yield "staged"
        try:
            for receipt in state.receipts:  # one by one, to be able to die in between
                sink.commit(epoch, [receipt])
                yield "committed"
        except StageLostError:
            state.receipts = None
            continue
        state.recorded = True


def count_steps(sink):
    return sum(1 for _ in steps(sink, EpochId("flows", 1), State()))


def test_a_crash_after_any_step_neither_loses_nor_doubles_a_row(cluster):
    total = count_steps(cluster.sink())
    assert total > 10
    dead = []
    for number in range(2, total + 2):
        epoch, state = EpochId("flows", number), State()
        dying = cluster.sink()
        run = steps(dying, epoch, state)
        list(islice(run, number - 1))
        dead.append((dying, run))  # kept, so that nothing of it is tidied up
        for _ in steps(cluster.sink(), epoch, state):
            pass
    expected = [TaskId(EpochId("flows", n), i) for n in range(1, total + 2) for i in range(TASKS)]
    assert cluster.rows() == numbers(*expected)


def test_crashes_again_and_again_in_one_epoch(cluster):
    """Each attempt dies one step later than the one before."""
    epoch, state = EpochId("flows", 1), State()
    dead = []
    for survived in range(1, 100):
        dying = cluster.sink()
        run = steps(dying, epoch, state)
        done = list(islice(run, survived))
        dead.append((dying, run))
        if len(done) < survived:
            break
    assert state.recorded
    assert cluster.rows() == numbers(*(TaskId(epoch, index) for index in range(TASKS)))
