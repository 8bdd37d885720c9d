"""A live line about a run, for a person at a terminal."""

from __future__ import annotations

import threading
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ktrans.engine.events import Meter, Observer
from ktrans.observe import human

REFRESHES_A_SECOND = 8


class ProgressObserver(Observer):
    """Shows rows, rows a second, bytes, files done, and how long it will still take.

    Use only if stderr is a terminal; colours obey NO_COLOR. The display ends with `run_finished` or
    `close`, whichever comes first, and leaves nothing behind.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            _Counts(),
            TimeRemainingColumn(compact=True),
            console=console or Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def run_started(self, pipeline: str, run_id: str, meter: Meter) -> None:
        """Begin to show the meter."""
        del run_id
        task = self._progress.add_task(pipeline, total=None, meter=meter)
        self._progress.start()

        def refresh() -> None:
            while not self._over.wait(1 / REFRESHES_A_SECOND):
                done, total = advance(meter)
                self._progress.update(task, completed=done, total=total)
                self._progress.refresh()

        self._thread = threading.Thread(target=refresh, name="progress", daemon=True)
        self._thread.start()

    def run_finished(self, receipt: dict[str, Any]) -> None:
        """Take the line away."""
        del receipt
        self.close()

    def close(self) -> None:
        """Take the line away; safe to call twice."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._progress.stop()


def advance(meter: Meter) -> tuple[float, float | None]:
    """Give how far a run is and where it ends: in bytes if both are known, else in splits."""
    if meter.bytes_known:
        return meter.bytes_in, max(meter.bytes_known, meter.bytes_in)
    if meter.splits_known:
        return meter.splits_done, max(meter.splits_known, meter.splits_done)
    return meter.splits_done, None


def counts_text(meter: Meter, seconds: float) -> str:
    """Say in one short text what a run has done so far."""
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
