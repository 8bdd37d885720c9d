"""How long the stages of a task took; the clock is read per group of blocks, never per row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_EPOCH = time.time() - time.perf_counter()
"""The offset of the monotonic clock from the calendar; read once, so that setting the machine's time
never makes spans overlap."""


def now() -> float:
    """Return the time in seconds since 1970, on a clock that never goes back."""
    return _EPOCH + time.perf_counter()


class StageTimes:
    """Records when each stage first began and last ended, and how long it was busy in between.

    Not thread-safe: each group of blocks has its own, and they are added up.
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[float]] = {}

    def note(self, stage: str, component: str, began: float, ended: float) -> None:
        """Record one call."""
        self._add((stage, component), began, ended, ended - began, 1)

    @contextmanager
    def timed(self, stage: str, component: str) -> Iterator[None]:
        """Record what happens inside as one call, also if it fails."""
        began = now()
        try:
            yield
        finally:
            self.note(stage, component, began, now())

    def add(self, other: StageTimes) -> None:
        """Add the times of another one."""
        for key, (began, ended, busy, calls) in other._times.items():
            self._add(key, began, ended, busy, calls)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the stages as `ktrans_task_finished` passes them, in the order in which they began."""
        return [
            {
                "stage": stage,
                "component": component,
                "began": began,
                "ended": ended,
                "busy_secs": round(busy, 6),
                "calls": int(calls),
            }
            for (stage, component), (began, ended, busy, calls) in sorted(
                self._times.items(), key=lambda item: item[1][0]
            )
        ]

    def _add(
        self, key: tuple[str, str], began: float, ended: float, busy: float, calls: float
    ) -> None:
        known = self._times.get(key)
        if known is None:
            self._times[key] = [began, ended, busy, calls]
            return
        known[0] = min(known[0], began)
        known[1] = max(known[1], ended)
        known[2] += busy
        known[3] += calls
