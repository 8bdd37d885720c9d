"""Observers of a run: the calls that a run makes, and the counters that may be read meanwhile."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

import msgspec

from ktrans.engine import log_events


class Meter(msgspec.Struct):
    """Counters of a run that a progress bar or a metrics page reads at any time, from any thread.

    Attributes:
        rows: rows decoded so far, including attempts that may still be undone.
        records, rejects: records and rejects so far.
        bytes_in: stored bytes of the splits that were read completely.
        splits_done: splits that were read completely.
        splits_known: splits to read that are known, including those done; None if unknown.
        bytes_known: their bytes, if known.
        epoch: the number of the current epoch.
        retries: attempts beyond the first.
    """

    rows: int = 0
    records: int = 0
    rejects: int = 0
    bytes_in: int = 0
    splits_done: int = 0
    splits_known: int | None = None
    bytes_known: int | None = None
    epoch: int = 0
    retries: int = 0
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def counts(self) -> dict[str, int]:
        """Return the counters that a task adds to, by name."""
        names = ("rows", "records", "rejects", "bytes_in", "splits_done", "retries")
        return {name: getattr(self, name) for name in names}

    def add(self, **counts: int) -> None:
        """Add to counters, by name."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


class Observer:
    """The calls that a run makes; each does nothing unless overridden. Errors in them are logged."""

    def run_opened(self, run: dict[str, Any]) -> None:
        """The run has its components and asks for its lock; `run` is as in `ktrans.api.hooks`."""

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """The run holds its lock and is about to plan."""

    def epoch_started(self, epoch: dict[str, Any]) -> None:
        """An epoch, new or left by an earlier run, is about to be processed and committed."""

    def epoch_planned(self, number: int, tasks: int, splits: int) -> None:
        """An epoch was recorded in the state store and is about to be read."""

    def task_finished(self, task: dict[str, Any]) -> None:
        """A task has succeeded or failed; called in the task's own thread if it is of this process."""

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """An epoch was recorded; `summary` has `ledger`, `splits`, `seconds`, `sinks`."""

    def expectation_broken(self, rule: dict[str, Any]) -> None:
        """A rule of `expect` was broken; `rule` has `name`, `least`, `most` and `rows`."""

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """A task or listing failed in a way that may pass, and is tried again after a wait."""

    def outage(self, component: str, secs: float, attempts: int, error: BaseException) -> None:
        """The system behind a component fails since some seconds, and is tried again.

        Called at the first failure, then at growing intervals, in any thread; `attempts` counts
        those since the last call.
        """

    def outage_over(self, component: str, secs: float, attempts: int) -> None:
        """The system behind a component works again after an outage of some seconds."""

    def caught_up(self) -> None:
        """The source has nothing new; a run that follows it asks again after `poll_interval`."""

    def note(self, text: str) -> None:
        """Something that a person should know, once."""

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """The run has succeeded or failed; `receipt` is its JSON form."""


_CALLS = [name for name in vars(Observer) if not name.startswith("_")]


class Observers(Observer):
    """Passes each call on to several observers; an error in one is logged and stops nothing."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        for call in _CALLS:
            setattr(self, call, partial(self._notify, call))

    def _notify(self, call: str, *arguments: Any) -> None:
        for observer in self._observers:
            try:
                getattr(observer, call)(*arguments)
            except Exception:
                name = type(observer).__name__
                logging.getLogger("ktrans.engine").exception(
                    "%s failed in %s",
                    name,
                    call,
                    extra={"event": log_events.OBSERVER_FAILED, "observer": name, "call": call},
                )
