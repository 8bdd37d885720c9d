"""A pool of threads that notices when one of them has died."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

from ktrans.engine.cancellation import TICK_SECS
from ktrans.engine.failures import WorkerDiedError


class Workers(ThreadPoolExecutor):
    """A pool of threads. One that dies, for lack of memory, leaves futures that are never done."""

    def __init__(self, count: int, name: str) -> None:
        self._known: list[threading.Thread] = []
        super().__init__(
            count,
            thread_name_prefix=name,
            initializer=lambda: self._known.append(threading.current_thread()),
        )

    @property
    def has_lost_one(self) -> bool:
        """Whether a thread has died; only of use before the pool is shut down."""
        return any(not thread.is_alive() for thread in self._known)

    def check(self) -> None:
        """Raise WorkerDiedError if a thread has died."""
        if self.has_lost_one:
            raise WorkerDiedError("a worker thread has died")

    def wait(self, futures: Iterable[Future[Any]]) -> None:
        """Wait until all futures are done, or one has failed.

        Raises:
            WorkerDiedError: a thread has died, so that one may never be done.
        """
        left = set(futures)
        while left:
            done, left = wait(left, TICK_SECS, FIRST_EXCEPTION)
            if any(not each.cancelled() and each.exception() is not None for each in done):
                return
            if left:
                self.check()
