"""Runs all tasks in threads of this process, which share its components and its memory."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from ktrans.api import ComponentConfig, Executor, Work


class ThreadsExecutorConfig(ComponentConfig, type="threads"):
    """Options of the executor `threads`."""


class ThreadsExecutor(Executor[ThreadsExecutorConfig]):
    """Runs jobs in threads."""

    _work: Work
    _pool: ThreadPoolExecutor | None = None

    def open(self, work: Work, *, workers: int) -> None:
        """Prepare a pool of so many threads."""
        self._work = work
        self._known: list[threading.Thread] = []
        self._futures: set[Future[dict[str, Any]]] = set()
        self._pool = ThreadPoolExecutor(
            workers,
            thread_name_prefix="task",
            initializer=lambda: self._known.append(threading.current_thread()),
        )

    def submit(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """Begin a job in a thread, with the context variables of the caller."""
        assert self._pool is not None
        future = self._pool.submit(copy_context().run, self._work, job)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def cancel(self) -> None:
        """Drop the jobs that have not begun. The others notice by themselves that the run stops."""
        for future in list(self._futures):
            future.cancel()

    def lost(self) -> str | None:
        """Say that a thread has died, as when there is no memory left."""
        if any(not thread.is_alive() for thread in self._known):
            return "a worker thread has died"
        return None

    def close(self) -> None:
        """Wait for the jobs that have begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
