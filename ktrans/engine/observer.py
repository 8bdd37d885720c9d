"""What an onlooker sees of a run while it goes on: a meter to read, and a few calls."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from ktrans.engine import log_events


@dataclass(slots=True)
class Meter:
    """Counts that a progress bar or a metrics page reads at any time, from any thread.

    Attributes:
        rows: rows decoded so far, by attempts that may still be undone.
        records: records seen, rejects so far.
        bytes_in: stored bytes of the splits that were read to their end.
        splits_done: splits read to their end.
        splits_known: splits that are known to wait, done ones included; None if not known.
        bytes_known: their bytes, if known.
        epoch: the epoch under way.
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
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **counts: int) -> None:
        """Add to counters, by name."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


class Observer:
    """Calls that a run makes; each does nothing unless overridden. An error in one is logged."""

    def run_opened(self, run: dict[str, Any]) -> None:
        """The run has its components and asks for its lock; `run` is as in `ktrans.api.hooks`."""

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """The run holds its lock and is about to plan."""

    def epoch_started(self, epoch: dict[str, Any]) -> None:
        """An epoch, new or left by an earlier run, is about to be brought to its end."""

    def epoch_planned(self, number: int, tasks: int, splits: int) -> None:
        """An epoch was written to the state store and is about to be read."""

    def task_finished(self, task: dict[str, Any]) -> None:
        """A task came to its end, well or not; in the task's own thread, several at once."""

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """An epoch was recorded; `summary` has `ledger`, `splits`, `seconds`, `sinks`."""

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """A task failed in a way that may pass, and is tried again after a wait."""

    def caught_up(self) -> None:
        """The source has nothing new; a run that follows it asks again after `poll_interval`."""

    def note(self, text: str) -> None:
        """Something that a person should know, once."""

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """The run is over, well or not; `receipt` is its JSON form."""


class Quiet(Observer):
    """Keeps an observer's errors from stopping a run: they are logged."""

    def __init__(self, inner: Observer) -> None:
        for name in (
            "run_opened",
            "run_started",
            "epoch_started",
            "epoch_planned",
            "task_finished",
            "epoch_committed",
            "retrying",
            "caught_up",
            "note",
            "run_finished",
        ):
            setattr(self, name, _guarded(getattr(inner, name)))


def _guarded(call: Any) -> Any:
    def guarded(*args: Any) -> None:
        try:
            call(*args)
        except Exception:
            logging.getLogger("ktrans.engine").exception(
                "an observer failed",
                extra={
                    "event": log_events.OBSERVER_FAILED,
                    "observer": type(getattr(call, "__self__", call)).__name__,
                    "call": getattr(call, "__name__", ""),
                },
            )

    return guarded
