"""Cancellation of a run: who asks for it, why, and how waiting code notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ktrans.api import Clock, InterruptedRunError
from ktrans.api.clock import CLOCK

TICK_SECS = 0.2
"""How often a waiting thread looks up to see whether it should give up."""


@dataclass(slots=True)
class Cancellation:
    """Why work should stop early: the user abandons the run, or a fellow worker has failed.

    `stop` only asks for no new epoch; it does not halt work under way. So does `edge`, which lets
    the epoch under way take all the time that it needs. Waiting goes by `clock`.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    failed: threading.Event = field(default_factory=threading.Event)
    edge: threading.Event = field(default_factory=threading.Event)
    clock: Clock = CLOCK

    def child(self) -> Cancellation:
        """Give a halt for one attempt, with a `failed` of its own."""
        return Cancellation(self.stop, self.abandon, edge=self.edge, clock=self.clock)

    def between_epochs(self) -> Cancellation:
        """Give a halt for what happens between epochs, where `edge` stops as `stop` does."""
        either = _Either(self.stop, self.edge)
        return Cancellation(either, self.abandon, edge=self.edge, clock=self.clock)

    @contextmanager
    def grace(self, secs: float) -> Iterator[None]:
        """After a call to stop, abandon the epoch under way when its grace period is over."""
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                if self.stop.wait(TICK_SECS):
                    if not over.wait(secs):
                        self.abandon.set()
                    return

        threading.Thread(target=watch, name="grace", daemon=True).start()
        try:
            yield
        finally:
            over.set()

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
        if self.clock.wait(seconds, self.stop):
            self.check()


class _Either(threading.Event):
    """Is set once one of two events is."""

    def __init__(self, one: threading.Event, other: threading.Event) -> None:
        super().__init__()
        self._both = (one, other)

    def is_set(self) -> bool:
        return any(event.is_set() for event in self._both)

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        one, other = self._both
        while not other.is_set():
            left = TICK_SECS if end is None else min(TICK_SECS, end - time.monotonic())
            if one.wait(max(left, 0)):
                return True
            if left <= 0:
                return self.is_set()
        return True
