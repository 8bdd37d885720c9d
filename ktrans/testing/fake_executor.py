"""An executor in this process that loses, repeats and delays answers, as a cluster may.

It is a plugin module: `Catalogue(extra={"fake_executor": fake_executor})` has the executor `fake`.
"""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pydantic import Field

from ktrans.api import ComponentConfig, Executor, Spec, Work, WorkerLostError, hookimpl


class FakeExecutorConfig(ComponentConfig, type="fake"):
    """Options of the fake executor."""

    lose_before: int = Field(0, ge=0, description="So many jobs are lost before they begin.")
    lose_after: int = Field(0, ge=0, description="So many jobs are done, and their answer is lost.")
    repeat: bool = Field(
        default=False, description="Each job is done twice, both at the same time."
    )
    delay_secs: float = Field(
        0.0, ge=0, description="The longest wait for an answer that is there."
    )
    seed: int = Field(
        1, description="Waits are drawn by chance, the same ones for the same number."
    )


class FakeExecutor(Executor[FakeExecutorConfig]):
    """Does jobs in threads; it loses none of them twice."""

    _pool: ThreadPoolExecutor | None = None

    def open(self, work: Work, *, workers: int) -> None:
        """Prepare the threads, twice as many as jobs."""
        self._work = work
        self._random = random.Random(self.config.seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._left = {"before": self.config.lose_before, "after": self.config.lose_after}
        self._pool = ThreadPoolExecutor(2 * workers, thread_name_prefix="fake")
        self._lost: set[str] = set()

    def submit(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """Begin a job; what it gets and gives passes through JSON."""
        assert self._pool is not None
        sent = json.dumps(job)
        if self.config.repeat:
            self._pool.submit(self._do, sent)
        return self._pool.submit(self._answer, sent)

    def cancel(self) -> None:
        """Do nothing: cancelling is never trusted."""

    def close(self) -> None:
        """Wait for all jobs."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _answer(self, sent: str) -> dict[str, Any]:
        if self._loses("before", sent):
            raise WorkerLostError("the worker was lost before it began")
        answer = self._do(sent)
        if self._loses("after", sent):
            raise WorkerLostError("the worker was lost with its answer")
        with self._lock:
            delay = self._random.uniform(0, self.config.delay_secs)
        time.sleep(delay)
        return answer

    def _do(self, sent: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(json.dumps(self._work(json.loads(sent))))
        return answer

    def _loses(self, when: str, sent: str) -> bool:
        with self._lock:
            if self._left[when] == 0 or sent in self._lost:
                return False
            self._left[when] -= 1
            self._lost.add(sent)
            return True


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the executor."""
    name = f"{__name__}:FakeExecutor"
    summary = "Loses, repeats and delays answers"
    return [Spec(kind="executor", type="fake", build=name, config=name + "Config", summary=summary)]
