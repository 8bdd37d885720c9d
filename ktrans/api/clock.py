"""The time by which components decide: the machine's, or one that a test moves."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


class Clock:
    """The machine's time. Ask `Context.clock` wherever the time decides what a component does.

    Tests pass a `ktrans.testing.clock.MovableClock`. Durations that are only reported, and the
    timeouts of an SDK, need not use it.
    """

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; never decreases."""
        return time.monotonic()

    def wait(
        self, seconds: float, over: threading.Event | None = None, *, background: bool = False
    ) -> bool:
        """Wait for some seconds or until `over` happens; return whether it has.

        `background` marks a thread that renews or watches something beside the work: nothing waits
        for it, so it never moves a test's clock.
        """
        del background
        if over is not None:
            return over.wait(max(seconds, 0))
        time.sleep(max(seconds, 0))
        return False


CLOCK = Clock()
"""The machine's clock."""
