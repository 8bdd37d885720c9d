"""A progress line on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ktrans.engine.observer import Meter, Observer
from ktrans.observe import human

REFRESHES_A_SECOND = 8


class ProgressObserver(Observer):
    """Shows rows, rows per second, bytes, files done, and the estimated remaining time.

    Several runs may share it: each has a line. Use it only if stderr is a terminal; colours obey
    NO_COLOR. `run_finished` removes the line of a run, and `close` removes all.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress = _Lines(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            _Counts(),
            TimeRemainingColumn(compact=True),
            console=console or Console(stderr=True),
            transient=True,
            refresh_per_second=REFRESHES_A_SECOND,
        )
        self._lock = threading.Lock()
        self._lines: dict[str, TaskID] = {}

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Show the meter."""
        del run_id
        with self._lock:
            if pipeline in self._lines:
                self._progress.remove_task(self._lines.pop(pipeline))
            self._lines[pipeline] = self._progress.add_task(pipeline, total=None, meter=meter)
            self._progress.start()

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Remove the line of the run; the last one ends the display."""
        with self._lock:
            line = self._lines.pop(receipt["pipeline"], None)
            if line is None:
                return
            if not self._lines:
                self._progress.stop()
            self._progress.remove_task(line)

    def close(self) -> None:
        """Remove all lines; may be called twice."""
        with self._lock:
            self._progress.stop()


class _Lines(Progress):
    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            done, total = advance(task.fields["meter"])
            self.update(task.id, completed=done, total=total)
        return super().get_renderables()


def advance(meter: Meter) -> tuple[float, float | None]:
    """Return the progress and the total of a run: in bytes if they are known, else in splits."""
    if meter.bytes_known:
        return meter.bytes_in, max(meter.bytes_known, meter.bytes_in)
    if meter.splits_known:
        return meter.splits_done, max(meter.splits_known, meter.splits_done)
    return meter.splits_done, None


def counts_text(meter: Meter, seconds: float) -> str:
    """Return a short text of what a run has done so far."""
    known = f"/{meter.splits_known:,}" if meter.splits_known else ""
    parts = [f"{meter.rows:,} rows"]
    if meter.rows and (speed := human.rate(meter.rows, seconds)):
        parts.append(f"{speed}/s")
    parts += [human.size(meter.bytes_in), f"{meter.splits_done:,}{known} files"]
    if meter.rejects:
        parts.append(f"{meter.rejects:,} rejects")
    if meter.retries:
        parts.append(f"{meter.retries:,} retries")
    return "  ".join(parts)


class _Counts(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(counts_text(task.fields["meter"], task.elapsed or 0.0), overflow="ellipsis")
