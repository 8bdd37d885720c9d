"""Observers of a run: several as one, the plugins' hooks, and the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ktrans.engine.events import Meter, Observer

if TYPE_CHECKING:
    from ktrans.registry.catalogue import Catalogue

_log = logging.getLogger("ktrans.run")


class Observers(Observer):
    """Passes every call on to several observers; an error in one is logged, and stops no other."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Pass it on."""
        self._tell("run_started", pipeline, run_id, meter)

    def epoch_planned(self, number: int, tasks: int, splits: int) -> None:
        """Pass it on."""
        self._tell("epoch_planned", number, tasks, splits)

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """Pass it on."""
        self._tell("epoch_committed", number, summary)

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """Pass it on."""
        self._tell("retrying", what, attempt, wait_secs, error)

    def caught_up(self) -> None:
        """Pass it on."""
        self._tell("caught_up")

    def note(self, text: str) -> None:
        """Pass it on."""
        self._tell("note", text)

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Pass it on."""
        self._tell("run_finished", receipt)

    def _tell(self, call: str, *arguments: Any) -> None:
        for observer in self._observers:
            try:
                getattr(observer, call)(*arguments)
            except Exception:  # noqa: BLE001 - an observer never stops what it observes
                name = type(observer).__name__
                _log.exception("%s failed in %s", name, call, extra={"event": "observer_failed"})


class HookObserver(Observer):
    """Tells the plugins' hooks (see ktrans.api.hooks)."""

    def __init__(self, catalogue: Catalogue, config: str) -> None:
        self._catalogue = catalogue
        self._run: dict[str, object] = {"config": config}

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Call ktrans_run_started."""
        del meter
        self._run = {"pipeline": pipeline, "run_id": run_id, **self._run}
        self._catalogue.run_started(self._run)

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """Call ktrans_epoch_committed."""
        self._catalogue.epoch_committed(self._run, {**summary, "id": number})

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Call ktrans_run_finished."""
        self._catalogue.run_finished(self._run, receipt)


class LogObserver(Observer):
    """Writes what happens to the log, with names of events that programs can go by."""

    def __init__(self) -> None:
        self._about: dict[str, Any] = {}

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Log it."""
        del meter
        self._about = {"pipeline": pipeline, "run_id": run_id}
        self._write(logging.INFO, "run_started", f"run {run_id} of {pipeline} begins")

    def epoch_planned(self, number: int, tasks: int, splits: int) -> None:
        """Log it."""
        text = f"epoch {number} planned: {splits} splits in {tasks} tasks"
        self._write(logging.INFO, "epoch_planned", text, epoch=number, tasks=tasks, splits=splits)

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """Log it."""
        rows = summary.get("ledger", {}).get("decoded", {}).get("rows")
        text = f"epoch {number} recorded: {rows} rows in {summary.get('seconds', 0):.2f} s"
        self._write(logging.INFO, "epoch_committed", text, epoch=number, rows=rows)

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """Log it as a warning."""
        text = f"{what} failed at attempt {attempt}, next in {wait_secs:.1f} s: {error}"
        self._write(logging.WARNING, "retrying", text, what=what, attempt=attempt)

    def note(self, text: str) -> None:
        """Log it."""
        self._write(logging.INFO, "note", text)

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Log it; the receipt says the rest."""
        outcome, code = receipt["outcome"], receipt["exit_code"]
        self._about.setdefault("pipeline", receipt["pipeline"])
        text = f"run of {receipt['pipeline']} is over: {outcome}, exit code {code}"
        self._write(logging.INFO, "run_finished", text, outcome=outcome, exit_code=code)

    def _write(self, level: int, event: str, text: str, **fields: Any) -> None:
        _log.log(level, "%s", text, extra={"event": event, "fields": {**self._about, **fields}})
