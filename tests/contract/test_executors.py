"""The built-in executors keep the contract of executors."""

from __future__ import annotations

import pytest

from ktrans.executors.processes import ProcessesExecutor, ProcessesExecutorConfig
from ktrans.executors.threads import ThreadsExecutor, ThreadsExecutorConfig
from ktrans.testing.contracts import ExecutorContract


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
