"""Bounds on what is in flight: memory by bytes, and ways to stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ktrans.api import InterruptedRunError

TICK_SECS = 0.2
"""How often a waiting thread looks up to see whether it should give up."""


class Gate:
    """Lets bytes in as long as fewer than `limit` are inside; always lets one visitor in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._changed = threading.Condition()

    def enter(self, size: int, halt: Halt) -> None:
        """Wait until there is room for `size` bytes.

        Raises:
            InterruptedRunError: the wait was called off.
        """
        with self._changed:
            while self._inside and self._inside + size > self._limit:
                halt.check()
                self._changed.wait(TICK_SECS)
            self._inside += size

    def leave(self, size: int) -> None:
        """Make room again."""
        with self._changed:
            self._inside -= size
            self._changed.notify_all()


@dataclass(slots=True)
class Halt:
    """Why work should stop early: the user abandons the run, or a fellow worker has failed.

    `stop` only asks for no new epoch; it does not halt work under way.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    failed: threading.Event = field(default_factory=threading.Event)

    def child(self) -> Halt:
        """Give a halt for one attempt, with a `failed` of its own."""
        return Halt(self.stop, self.abandon)

    def is_set(self) -> bool:
        """Tell whether work should stop now."""
        return self.abandon.is_set() or self.failed.is_set()

    def check(self) -> None:
        """Raise InterruptedRunError if work should stop now."""
        if self.is_set():
            raise InterruptedRunError(
                "the run was told to stop; what is not committed is done again by the next run"
            )

    def sleep(self, seconds: float) -> None:
        """Wait, but not past a call to stop: waiting for better times is not worth a kill."""
        if self.stop.wait(seconds):
            self.check()
