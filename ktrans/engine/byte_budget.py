"""A bound on the bytes that a run holds in memory between reading and writing."""

from __future__ import annotations

import threading

from ktrans.engine.cancellation import TICK_SECS, Cancellation


class ByteBudget:
    """Bounds the bytes in memory to `limit`; a single larger block is admitted when it is alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def acquire(self, size: int, cancellation: Cancellation) -> None:
        """Wait until there is room for `size` bytes.

        Raises:
            InterruptedRunError: the wait was cancelled.
        """
        with self._changed:
            while self._used and self._used + size > self._limit:
                cancellation.check()
                self._changed.wait(TICK_SECS)
            self._used += size

    def release(self, size: int) -> None:
        """Make room again."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()
