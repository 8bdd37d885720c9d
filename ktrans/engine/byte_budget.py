"""A bound on the bytes that are in flight between the stages of a task."""

from __future__ import annotations

import threading

from ktrans.engine.cancellation import TICK_SECS, Cancellation


class ByteBudget:
    """Bounds the bytes in flight to `limit`; a single block may exceed it when nothing else is in flight."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._changed = threading.Condition()

    def enter(self, size: int, cancellation: Cancellation) -> None:
        """Wait until there is room for `size` bytes.

        Raises:
            InterruptedRunError: the wait was called off.
        """
        with self._changed:
            while self._inside and self._inside + size > self._limit:
                cancellation.check()
                self._changed.wait(TICK_SECS)
            self._inside += size

    def leave(self, size: int) -> None:
        """Make room again."""
        with self._changed:
            self._inside -= size
            self._changed.notify_all()
