"""The time that a pipeline goes by: of the machine, or of a test."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Waitable(Protocol):
    """What can end a wait: a `threading.Event`."""

    def is_set(self) -> bool:
        """Tell whether it has happened."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it; tell whether it has happened."""


class Clock:
    """The machine's time. Components ask `Context.clock` wherever the time decides what they do.

    A test gives them a `ktrans.testing.clock.MovableClock` instead. What is only told (how long an
    epoch took), and how long an SDK may take to answer, need not go by it.
    """

    def now(self) -> datetime:
        """Tell the time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Tell the seconds since some moment; never goes back."""
        return time.monotonic()

    def wait(
        self, seconds: float, over: Waitable | None = None, *, background: bool = False
    ) -> bool:
        """Wait for some seconds, or until `over` happens; tell whether it has.

        `background` marks a thread that renews or watches something beside the work: nothing waits
        for it, so it never moves a test's clock.
        """
        del background
        if over is not None:
            return over.wait(max(seconds, 0))
        time.sleep(max(seconds, 0))
        return False


CLOCK = Clock()
"""The machine's."""
