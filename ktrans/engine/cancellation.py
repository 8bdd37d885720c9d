"""Cancellation of a run: its reasons, and how waiting code notices them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from ktrans.api import Clock, InterruptedRunError
from ktrans.api.clock import CLOCK

TICK_SECS = 0.2
"""How often a waiting thread checks for cancellation."""


class Cancellation(msgspec.Struct):
    """The reasons to stop a run early, each an event.

    Attributes:
        stop: start no new epoch; the current one has its grace period.
        stop_after_epoch: start no new epoch; the current one may take as long as it needs.
        abandon: undo the current epoch now.
        failed: another worker of the same attempt has failed.
        clock: the clock of all waits.
    """

    stop: threading.Event = msgspec.field(default_factory=threading.Event)
    abandon: threading.Event = msgspec.field(default_factory=threading.Event)
    failed: threading.Event = msgspec.field(default_factory=threading.Event)
    stop_after_epoch: threading.Event = msgspec.field(default_factory=threading.Event)
    clock: Clock = CLOCK
    grace_over: bool = False
    """Whether the grace period ended before the epoch did, so that it was abandoned."""

    def child(self) -> Cancellation:
        """Return a cancellation for one attempt, with a `failed` of its own."""
        return Cancellation(
            self.stop, self.abandon, stop_after_epoch=self.stop_after_epoch, clock=self.clock
        )

    def between_epochs(self) -> Cancellation:
        """Return a cancellation for the time between epochs: both kinds of stop are its `stop`."""
        return Cancellation(
            _Either(self.stop, self.stop_after_epoch),
            self.abandon,
            stop_after_epoch=self.stop_after_epoch,
            clock=self.clock,
        )

    @contextmanager
    def grace(self, secs: float) -> Iterator[None]:
        """Abandon the current epoch `secs` after `stop` was set, while inside."""
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                if self.stop.wait(TICK_SECS):
                    if not over.wait(secs) and not self.abandon.is_set():
                        self.grace_over = True
                        self.abandon.set()
                    return

        threading.Thread(target=watch, name="grace", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def is_set(self) -> bool:
        """Return whether work should stop now."""
        return self.abandon.is_set() or self.failed.is_set()

    def check(self) -> None:
        """Raise InterruptedRunError if work should stop now."""
        if self.is_set():
            raise InterruptedRunError(
                "the run was stopped; the next run repeats what was not committed"
            )

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until `stop` is set."""
        if self.clock.wait(seconds, self.stop):
            self.check()


class _Either(threading.Event):
    """An event that is set once one of two others is."""

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
