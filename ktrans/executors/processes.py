"""Runs tasks in processes of this machine, one task each at a time.

A process begins with the first task that finds no idle one, and stays until the run ends. One that
dies takes only its own task with it, unlike those of `concurrent.futures.ProcessPoolExecutor`.
Processes do not get the signals of the run's terminal, and end when the run does, however it ends.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from ktrans.api import (
    ComponentConfig,
    Executor,
    InterruptedRunError,
    Work,
    WorkerLostError,
)
from ktrans.executors.worker_process import INTERRUPTED, STOP
from ktrans.kit.child_process import how_it_ended

PATIENCE_SECS = 5.0
"""How long `close` waits for tasks that were asked to stop."""


class ProcessesExecutorConfig(ComponentConfig, type="processes"):
    """Options of the executor `processes`."""


class ProcessesExecutor(Executor[ProcessesExecutorConfig]):
    """Runs jobs in processes; a thread waits for each of them."""

    _reference: str
    _pool: ThreadPoolExecutor | None = None

    def open(self, work: Work, *, workers: int) -> None:
        """Take the function; no process begins yet."""
        self._reference = f"{work.__module__}:{work.__qualname__}"
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._busy: set[_Worker] = set()
        self._futures: set[Future[dict[str, Any]]] = set()
        self._cancelled = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="process")

    def submit(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """Begin a job in an idle process, or in a new one while there may be more."""
        assert self._pool is not None
        future = self._pool.submit(self._do, job, self._cancelled)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def cancel(self) -> None:
        """Drop the jobs that have not begun, and interrupt the others."""
        self._cancelled += 1
        for future in list(self._futures):
            future.cancel()
        for worker in list(self._busy):
            worker.send(STOP)

    def close(self) -> None:
        """End the processes; one that does not stop its job in time is killed."""
        if self._pool is None:
            return
        self.cancel()
        wait(list(self._futures), PATIENCE_SECS)
        for worker in list(self._busy):
            worker.end()
        self._pool.shutdown()
        self._pool = None
        while not self._idle.empty():
            self._idle.get().end()

    def _do(self, job: dict[str, Any], cancelled: int) -> dict[str, Any]:
        """Let a process do a job; called in a thread of the pool.

        `cancelled` is how often jobs had been cancelled when this one was submitted.
        """
        worker = self._idle_worker() or _Worker(self._reference)
        self._busy.add(worker)
        try:
            worker.send(json.dumps(job).encode() + b"\n")
            if cancelled != self._cancelled:  # before there was a process to tell
                worker.send(STOP)
            answer = worker.receive()
        except BaseException:
            worker.end()
            raise
        finally:
            self._busy.discard(worker)
        self._idle.put(worker)
        if answer == INTERRUPTED:
            raise InterruptedRunError("the task was stopped")
        result: dict[str, Any] = json.loads(answer)
        return result

    def _idle_worker(self) -> _Worker | None:
        """Take an idle process, if there is one; those that were killed meanwhile are dropped."""
        with suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker.alive():
                    return worker
                worker.end()
        return None


class _Worker:
    """A process that does jobs."""

    def __init__(self, reference: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this Python
            [sys.executable, "-P", "-m", "ktrans.executors.worker_process", reference],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the run
        )

    def alive(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def send(self, line: bytes) -> None:
        """Send a job, or STOP; nothing happens if the process has died."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def receive(self) -> bytes:
        """Wait for the answer to the job.

        Raises:
            WorkerLostError: the process has died.
        """
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer.endswith(b"\n"):
            how = how_it_ended(self._process.wait())
            raise WorkerLostError(
                f"a worker process has died: {how}",
                hint="if the kernel ended it for lack of memory, lower engine.workers",
            )
        return answer

    def end(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
