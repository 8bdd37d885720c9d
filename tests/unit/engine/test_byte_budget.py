"""The budget of bytes: it blocks, it is given back, and nobody waits for ever."""

import threading

import pyarrow as pa
import pytest

from ktrans.api import Encoded, ExitCode, InterruptedRunError
from ktrans.engine.byte_budget import ByteBudget, Growth, Held, memory_of
from ktrans.engine.cancellation import Cancellation
from ktrans.testing import fakes


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_task_waits_until_there_is_room():
    budget, held, stop = ByteBudget(100), Held(), Cancellation()
    budget.acquire(80, held, stop)
    thread = in_thread(lambda: budget.acquire(30, held, stop))
    thread.join(0.1)
    assert thread.is_alive()
    assert budget.used == 80
    budget.add(-80, held)
    thread.join(5)
    assert not thread.is_alive()
    assert budget.used == held.bytes == 30


def test_a_task_that_holds_nothing_always_gets_a_block():
    budget, stop = ByteBudget(100), Cancellation()
    stuck, other = Held(), Held()
    budget.acquire(500, stuck, stop)
    budget.acquire(90, other, stop)
    assert budget.used == 590


def test_a_wait_ends_when_the_run_is_stopped():
    budget, held, stop = ByteBudget(10), Held(), Cancellation()
    budget.acquire(10, held, stop)
    stop.abandon.set()
    with pytest.raises(InterruptedRunError):
        budget.acquire(1, held, stop)
    assert budget.used == 10


def test_growth_follows_what_was_measured():
    growth = Growth(100)
    assert growth.of(10) == 80
    for _ in range(99):
        growth.note(100, 200)
    assert growth.of(1000) == 2060


def test_the_memory_of_encoded_rows_is_that_of_their_buffers():
    batch = pa.record_batch({"n": pa.array([1, 2], pa.int64())})
    assert memory_of([Encoded(b"abc", 1, 3), [batch, b"12345"], None]) == 3 + 16 + 5


def test_a_run_whose_blocks_all_exceed_the_budget_ends_and_gives_everything_back(bench):
    bench.fill(objects=6, lines=5)
    budget = ByteBudget(1)
    assert bench.run(budget=budget).exit_code == ExitCode.OK
    assert len(bench.names()) == 30
    assert budget.used == 0


def test_a_failed_attempt_gives_back_what_it_held(bench, monkeypatch):
    def fail(decoder, block):
        raise RuntimeError("broken")

    bench.fill(objects=6, lines=5)
    monkeypatch.setattr(fakes.FakeDecoder, "decode", fail)
    budget = ByteBudget(1)
    bench.run(budget=budget)
    assert budget.used == 0
