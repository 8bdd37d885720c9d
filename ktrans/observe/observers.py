"""Observers that pass what happens in a run to the hooks of plugins and to the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from ktrans.api.log_events import LogEvent
from ktrans.engine.expectations import RuleResult
from ktrans.engine.log_context import bound
from ktrans.engine.observer import Meter, Observer
from ktrans.engine.observer_data import describe_error
from ktrans.engine.stage_times import now
from ktrans.observe import log_events
from ktrans.registry.redaction import redact

if TYPE_CHECKING:
    from ktrans.registry.catalogue import Catalogue

_log = logging.getLogger("ktrans.run")


class HookObserver(Observer):
    """Calls the hooks of plugins; see `ktrans.api.hooks`."""

    def __init__(self, catalogue: Catalogue, config: str) -> None:
        self._catalogue = catalogue
        self._run: dict[str, object] = {"config": config}

    def run_opened(self, run: dict[str, Any]) -> None:
        """Call ktrans_run_opened."""
        self._run = {**run, **self._run}
        self._catalogue.tell("ktrans_run_opened", run=self._run)

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Call ktrans_run_started."""
        del meter
        self._run = {"pipeline": pipeline, "run_id": run_id, **self._run}
        self._catalogue.tell("ktrans_run_started", run=self._run)

    def epoch_started(self, epoch: dict[str, Any]) -> None:
        """Call ktrans_epoch_started."""
        self._catalogue.tell("ktrans_epoch_started", run=self._run, epoch=epoch)

    def task_finished(self, task: dict[str, Any]) -> None:
        """Call ktrans_task_finished."""
        self._catalogue.tell("ktrans_task_finished", run=self._run, task=task)

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """Call ktrans_epoch_committed."""
        epoch = {**summary, "id": number}
        self._catalogue.tell("ktrans_epoch_committed", run=self._run, epoch=epoch)

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """Call ktrans_retrying."""
        place = bound()
        retry = {
            "what": redact(what),
            "at": now(),
            "attempt": attempt,
            "wait_secs": wait_secs,
            **describe_error(error),
            "epoch": place.get("epoch"),
            "task": place.get("task"),
        }
        self._catalogue.tell("ktrans_retrying", run=self._run, retry=retry)

    def outage(self, component: str, secs: float, attempts: int, error: BaseException) -> None:
        """Call ktrans_retrying."""
        del secs
        self.retrying(component, attempts, 0.0, error)

    def caught_up(self) -> None:
        """Call ktrans_caught_up."""
        self._catalogue.tell("ktrans_caught_up", run=self._run)

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Call ktrans_run_finished."""
        self._catalogue.tell("ktrans_run_finished", run=self._run, receipt=receipt)


class LogObserver(Observer):
    """Writes what happens to the log; the engine binds the pipeline and the run."""

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Log it."""
        del meter
        _write(logging.INFO, log_events.RUN_STARTED, f"run {run_id} of {pipeline} begins")

    def epoch_planned(self, number: int, tasks: int, splits: int) -> None:
        """Log it."""
        text = f"epoch {number} planned: {splits} splits in {tasks} tasks"
        fields = {"epoch": number, "tasks": tasks, "splits": splits}
        _write(logging.INFO, log_events.EPOCH_PLANNED, text, **fields)

    def task_finished(self, task: dict[str, Any]) -> None:
        """Log it at level debug."""
        seconds = round(task["ended"] - task["began"], 3)
        how = "failed" if task["error"] else f"is done: {task['rows']} rows"
        text = f"task {task['index']} of epoch {task['epoch']} {how}, in {seconds:.2f} s"
        fields = {name: task[name] for name in ("epoch", "rows", "attempts")}
        fields |= {"task": task["index"], "seconds": seconds}
        _write(logging.DEBUG, log_events.TASK_FINISHED, text, **fields)

    def epoch_committed(self, number: int, summary: dict[str, Any]) -> None:
        """Log it."""
        rows = summary.get("ledger", {}).get("decoded", {}).get("rows")
        seconds = summary.get("seconds", 0)
        text = f"epoch {number} recorded: {rows} rows in {seconds:.2f} s"
        fields = {"epoch": number, "rows": rows, "seconds": seconds}
        _write(logging.INFO, log_events.EPOCH_COMMITTED, text, **fields)

    def retrying(self, what: str, attempt: int, wait_secs: float, error: BaseException) -> None:
        """Log it as a warning."""
        text = f"{what} failed at attempt {attempt}, next in {wait_secs:.1f} s: {error}"
        fields = {"what": what, "attempt": attempt, "wait_secs": round(wait_secs, 3)}
        fields["code"] = describe_error(error)["code"]
        _write(logging.WARNING, log_events.RETRYING, text, **fields)

    def outage(self, component: str, secs: float, attempts: int, error: BaseException) -> None:
        """Log it as a warning."""
        since = f" for {secs:.0f} s" if secs else ""
        text = f"{component} fails{since} and is tried again: {error}"
        fields = {"what": component, "seconds": round(secs, 3), "attempts": attempts}
        fields["code"] = describe_error(error)["code"]
        _write(logging.WARNING, log_events.OUTAGE, text, **fields)

    def outage_over(self, component: str, secs: float, attempts: int) -> None:
        """Log it as a warning, so that whoever saw the outage sees its end."""
        text = f"{component} works again after {secs:.0f} s"
        fields = {"what": component, "seconds": round(secs, 3), "attempts": attempts}
        _write(logging.WARNING, log_events.OUTAGE_OVER, text, **fields)

    def expectation_broken(self, rule: dict[str, Any]) -> None:
        """Log it as an error."""
        fields = {"rule": rule["name"], "found": rule["rows"]}
        fields |= {"least": rule["least"], "most": rule["most"]}
        text = str(msgspec.convert(rule, RuleResult))
        _write(logging.ERROR, log_events.EXPECTATION_BROKEN, text, **fields)

    def caught_up(self) -> None:
        """Log it at level debug."""
        _write(logging.DEBUG, log_events.CAUGHT_UP, "the source has nothing new")

    def note(self, text: str) -> None:
        """Log it."""
        _write(logging.INFO, log_events.NOTE, text)

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Log it; the details are in the receipt."""
        outcome, code = receipt["outcome"], receipt["exit_code"]
        text = f"run of {receipt['pipeline']} has ended: {outcome}, exit code {code}"
        fields = {"outcome": outcome, "exit_code": code}
        fields |= {"rows": receipt["ledger"]["decoded"]["rows"], "seconds": receipt["seconds"]}
        _write(logging.INFO, log_events.RUN_FINISHED, text, **fields)


def _write(level: int, event: LogEvent, text: str, **fields: Any) -> None:
    _log.log(level, "%s", text, extra={"event": event, **fields})
