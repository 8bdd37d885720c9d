"""The built-in executors keep the contract of executors."""

from __future__ import annotations

import os
import signal

import pytest

from ktrans.executors.processes import ProcessesExecutor, ProcessesExecutorConfig
from ktrans.executors.threads import ThreadsExecutor, ThreadsExecutorConfig
from ktrans.testing.contracts import ExecutorContract
from ktrans.testing.contracts.executors import answer
from tests.integration.test_processes import alive, workers_of


class TestThreads(ExecutorContract):
    """Jobs run in this process."""

    covers = ("threads",)
    separate = False

    @pytest.fixture
    def component(self) -> ThreadsExecutor:
        """Return an executor of threads."""
        return ThreadsExecutor(ThreadsExecutorConfig())


class TestProcesses(ExecutorContract):
    """Jobs run in processes of their own."""

    covers = ("processes",)

    @pytest.fixture
    def component(self) -> ProcessesExecutor:
        """Return an executor of processes."""
        return ProcessesExecutor(ProcessesExecutorConfig())

    def test_processes_that_die_while_they_wait_are_replaced(self, executor):
        """No job is lost to them, so none uses up its attempts."""
        for future in [executor.submit({"do": "sleep", "secs": 0.5}) for _ in range(2)]:
            answer(future)
        for pid in workers_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not alive(workers_of(os.getpid()))
        jobs = [executor.submit({"do": "nothing", "number": number}) for number in range(4)]
        assert [answer(job)["number"] for job in jobs] == [0, 1, 2, 3]
