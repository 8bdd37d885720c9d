"""A clock that is moved by tests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from ktrans.api.clock import Clock

_TICK_SECS = 0.01
"""How often a real wait checks whether it is over."""


class MovableClock(Clock):
    """A clock that does not move by itself.

    A wait returns at once and moves the clock to its end; `waits` lists the durations. With
    `jumps=False`, and in threads that only renew or watch something in the background, a wait lasts
    until another thread has moved the clock far enough.

    >>> clock = MovableClock()
    >>> clock.now().isoformat()
    '2026-01-01T00:00:00+00:00'
    >>> clock.advance(minutes=5)
    >>> clock.wait(30)
    False
    >>> clock.now().isoformat(), clock.waits
    ('2026-01-01T00:05:30+00:00', [30])

    Args:
        start: the time at first.
        jumps: whether waits move it.

    Attributes:
        waits: the duration of each wait, in seconds.
    """

    def __init__(
        self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, jumps: bool = True
    ) -> None:
        self.jumps = jumps
        self.waits: list[float] = []
        self._start = start
        self._passed = timedelta()
        self._moved = threading.Condition()

    def now(self) -> datetime:
        """Return the time."""
        with self._moved:
            return self._start + self._passed

    def monotonic(self) -> float:
        """Return how far it was moved, in seconds."""
        with self._moved:
            return self._passed.total_seconds()

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Move it forward."""
        span = timedelta(seconds=seconds, minutes=minutes, hours=hours)
        if span < timedelta():
            raise ValueError("a clock does not go back")
        with self._moved:
            self._passed += span
            self._moved.notify_all()

    def wait(
        self, seconds: float, over: threading.Event | None = None, *, background: bool = False
    ) -> bool:
        """Jump to the wait's end, or wait until the clock was moved there or `over` happened."""
        with self._moved:
            self.waits.append(seconds)
            end = self._passed + timedelta(seconds=max(seconds, 0))
            while not (over is not None and over.is_set()):
                if self.jumps and not background:
                    self._passed = max(self._passed, end)
                if self._passed >= end:
                    return False
                self._moved.wait(_TICK_SECS)
        return True
