"""Outages of the systems behind a run's components, from their reports to the run's observer."""

from __future__ import annotations

import threading

import msgspec

from ktrans.api import Clock, Health
from ktrans.engine.observer import Meter, Observer

FIRST_INTERVAL_SECS = 5.0
MAX_INTERVAL_SECS = 300.0
"""How often an outage that lasts is reported: each interval is twice as long as the one before."""


class _Outage(msgspec.Struct):
    since: float
    reported: float
    interval: float = FIRST_INTERVAL_SECS
    attempts: int = 0


class Outages:
    """The outages of one run. Thread-safe."""

    def __init__(self, observer: Observer, meter: Meter, clock: Clock) -> None:
        self._observer = observer
        self._meter = meter
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Outage] = {}

    def health_of(self, component: str) -> Health:
        """Return what a component reports to."""
        return _ComponentHealth(self, component)

    def failed(self, component: str, error: BaseException) -> None:
        """Count a failed attempt; notify the observer of the first one, then at growing intervals."""
        now = self._clock.monotonic()
        self._meter.add(retries=1)
        with self._lock:
            outage = self._open.get(component)
            first = outage is None
            if outage is None:
                outage = self._open[component] = _Outage(now, now)
            outage.attempts += 1
            if not first and now - outage.reported < outage.interval:
                return
            if not first:
                outage.interval = min(outage.interval * 2, MAX_INTERVAL_SECS)
            outage.reported = now
            attempts, outage.attempts = outage.attempts, 0
        self._observer.outage(component, now - outage.since, attempts, error)

    def works(self, component: str) -> None:
        """Notify the observer that an outage is over, if there was one."""
        if component not in self._open:
            return
        with self._lock:
            outage = self._open.pop(component, None)
        if outage is not None:
            secs = self._clock.monotonic() - outage.since
            self._observer.outage_over(component, secs, outage.attempts)

    def all_work(self) -> None:
        """End all outages: an epoch was recorded, so whatever it needed works."""
        for component in list(self._open):
            self.works(component)


class _ComponentHealth(Health):
    def __init__(self, outages: Outages, component: str) -> None:
        self._outages = outages
        self._component = component

    def failed(self, error: BaseException) -> None:
        self._outages.failed(self._component, error)

    def works(self) -> None:
        self._outages.works(self._component)
