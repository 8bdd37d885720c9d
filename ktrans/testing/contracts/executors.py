"""The contract of executors: jobs are done, answers come back, workers may die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from ktrans.api import Executor, InterruptedRunError, WorkerLostError
from ktrans.api.spec import Kind
from ktrans.testing.contracts.covered import ComponentContract

WAIT_SECS = 60.0
"""How long an answer may take; a worker may have to begin first."""


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Do what a job says; workers import this function by its name."""
    began = time.time()
    try:
        if job["do"] == "sleep":
            end = time.monotonic() + job["secs"]
            while time.monotonic() < end:
                time.sleep(0.01)
        elif job["do"] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif job["do"] == "fail":
            return {"error": job["text"]}
    except KeyboardInterrupt:
        return {"interrupted": True}
    return {**job, "began": began, "ended": time.time()}


def answer(future: Future[dict[str, Any]]) -> dict[str, Any]:
    """Wait for an answer."""
    return future.result(WAIT_SECS)


class ExecutorContract(ComponentContract):
    """What the engine relies on.

    Attributes:
        separate: jobs run in other processes, which may die.
    """

    kind: ClassVar[Kind] = "executor"
    separate: ClassVar[bool] = True

    @pytest.fixture
    def executor(self, component: Executor[Any]) -> Iterator[Executor[Any]]:
        """Open the component with two workers; close it in the end."""
        component.open(work, workers=2)
        with component:
            yield component

    def test_each_job_gets_its_own_answer_once(self, executor: Executor[Any]) -> None:
        """In whatever order they are done."""
        jobs = [
            {"do": "sleep", "secs": (7 - n) / 100, "number": n, "text": f"ü\n{n}"} for n in range(8)
        ]
        futures = [executor.submit(job) for job in jobs]
        answers = [answer(future) for future in futures]
        assert [(one["number"], one["text"]) for one in answers] == [
            (job["number"], job["text"]) for job in jobs
        ]

    def test_jobs_run_beside_each_other(self, executor: Executor[Any]) -> None:
        """As many as there are workers."""
        for future in [executor.submit({"do": "sleep", "secs": 0.2, "number": 0}) for _ in "ab"]:
            answer(future)  # the workers have begun
        futures = [executor.submit({"do": "sleep", "secs": 1.0, "number": n}) for n in range(2)]
        answers = [answer(future) for future in futures]
        assert max(one["began"] for one in answers) < min(one["ended"] for one in answers)

    def test_an_error_is_an_answer(self, executor: Executor[Any]) -> None:
        """And a later job is done all the same."""
        assert answer(executor.submit({"do": "fail", "text": "no"})) == {"error": "no"}
        assert answer(executor.submit({"do": "nothing", "number": 1}))["number"] == 1

    def test_a_job_may_be_large(self, executor: Executor[Any]) -> None:
        """An epoch of many small objects has long jobs, and long answers."""
        text = "x" * (1 << 20)
        assert answer(executor.submit({"do": "nothing", "number": 1, "text": text}))["text"] == text

    def test_a_lost_worker_is_told_and_replaced(self, executor: Executor[Any]) -> None:
        """The future of its job fails; others are answered, and further jobs are done."""
        if not self.separate:
            pytest.skip("jobs run in this process")
        other = executor.submit({"do": "sleep", "secs": 0.3, "number": 1})
        with pytest.raises(WorkerLostError):
            answer(executor.submit({"do": "die"}))
        assert _answered_or_lost(other)
        assert answer(executor.submit({"do": "nothing", "text": "next"}))["text"] == "next"

    def test_cancelling_settles_all_jobs(self, executor: Executor[Any]) -> None:
        """Jobs that have not begun are dropped, and further jobs are done."""
        secs = 30.0 if self.separate else 0.5
        futures = [executor.submit({"do": "sleep", "secs": secs, "number": n}) for n in range(6)]
        time.sleep(0.1)
        executor.cancel()
        done, left = wait(futures, WAIT_SECS)
        assert not left
        assert sum(_dropped(future) for future in done) >= len(futures) - 2
        assert answer(executor.submit({"do": "nothing", "text": "next"}))["text"] == "next"

    def test_close_ends_what_runs(self, executor: Executor[Any]) -> None:
        """Also twice, and soon."""
        if not self.separate:
            pytest.skip("threads end when their jobs do")
        future = executor.submit({"do": "sleep", "secs": 120.0, "number": 1})
        time.sleep(0.1)
        closing = threading.Thread(target=executor.close)
        closing.start()
        closing.join(WAIT_SECS)
        assert not closing.is_alive()
        executor.close()
        assert future.done()

    def test_it_is_not_lost(self, executor: Executor[Any]) -> None:
        """While its workers live."""
        answer(executor.submit({"do": "nothing", "number": 1}))
        assert executor.lost() is None


def _answered_or_lost(future: Future[dict[str, Any]]) -> bool:
    with suppress(WorkerLostError):
        answer(future)
    return future.done()


def _dropped(future: Future[dict[str, Any]]) -> bool:
    try:
        return "interrupted" in future.result(0)
    except (CancelledError, InterruptedRunError, WorkerLostError):
        return True
