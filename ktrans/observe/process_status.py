"""What the status page shows of a process: its pipelines, and how loading them went."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from ktrans.observe.exposition import joined, without_created
from ktrans.observe.status import StatusObserver

if TYPE_CHECKING:
    from ktrans.observe.graph import Graph

Shown = tuple[StatusObserver, "Graph"]


class Board:
    """The pipelines of a process; they may come, go and change while it is shown.

    Args:
        stale_secs: see StatusObserver.
        clock: seconds since 1970.
    """

    def __init__(self, stale_secs: float, clock: Callable[[], float] = time.time) -> None:
        self._stale_secs = stale_secs
        self._clock = clock
        self._lock = threading.Lock()
        self._observers: dict[str, StatusObserver] = {}
        self._shown: dict[str, Shown] = {}
        self._failed: list[str] = []
        self._failed_at: float | None = None
        self.generation = 1
        self._loaded = clock()
        self._registry = registry = CollectorRegistry()
        self._reloads = Counter(
            "ktrans_reloads", "Reloads of the configuration", ("outcome",), registry=registry
        )
        for outcome in ("taken", "failed"):
            self._reloads.labels(outcome)
        Gauge(
            "ktrans_config_generation", "How many configurations were taken", registry=registry
        ).set_function(lambda: self.generation)
        Gauge(
            "ktrans_config_loaded_timestamp_seconds",
            "When the configuration was last taken",
            registry=registry,
        ).set_function(lambda: self._loaded)
        Gauge(
            "ktrans_config_reload_failing",
            "1 if the configuration as it is now was refused",
            registry=registry,
        ).set_function(lambda: bool(self._failed))

    # -- told by the process --------------------------------------------------------------------

    def observer(self, name: str) -> StatusObserver:
        """Give the observer of a pipeline, the same one for all its runs."""
        with self._lock:
            if name not in self._observers:
                self._observers[name] = StatusObserver(name, self._stale_secs, self._clock)
            return self._observers[name]

    def show(self, name: str, graph: Graph) -> None:
        """Show a pipeline as it is from now on."""
        observer = self.observer(name)
        observer.generation = self.generation
        with self._lock:
            self._shown[name] = (observer, graph)

    def remove(self, name: str) -> None:
        """Show a pipeline no longer."""
        with self._lock:
            self._shown.pop(name, None)
            self._observers.pop(name, None)

    def reloaded(self, generation: int) -> None:
        """A new configuration was taken."""
        self._reloads.labels("taken").inc()
        with self._lock:
            self.generation, self._loaded = generation, self._clock()
            self._failed, self._failed_at = [], None

    def reload_failed(self, errors: Sequence[str]) -> None:
        """A new configuration was refused; the old one goes on."""
        self._reloads.labels("failed").inc()
        with self._lock:
            self._failed, self._failed_at = list(errors), self._clock()

    # -- asked by others ------------------------------------------------------------------------

    @property
    def pipelines(self) -> list[Shown]:
        """The pipelines that are shown now."""
        with self._lock:
            return list(self._shown.values())

    def config(self) -> dict[str, Any]:
        """Give how loading went; times in seconds since 1970."""
        with self._lock:
            failed = {"time": self._failed_at, "errors": list(self._failed)}
            return {
                "now": self._clock(),
                "generation": self.generation,
                "loaded": self._loaded,
                "failed": failed if self._failed else None,
            }

    def to_json(self) -> dict[str, Any]:
        """Give everything, as `/status.json` does."""
        return {
            "config": self.config(),
            "pipelines": [status.to_json() for status, _ in self.pipelines],
        }

    def metrics(self) -> str:
        """Give Prometheus' text format: the process, and all its pipelines."""
        own = without_created(generate_latest(self._registry).decode())
        return joined([*(status.metrics.text() for status, _ in self.pipelines), own])

    def unready(self) -> str:
        """Say why a pipeline is not ready, a line each; empty if all are."""
        shown = self.pipelines
        if not shown:
            return "no pipeline runs\n"
        return "".join(
            f"{status.pipeline}: {why}\n" for status, _ in shown if (why := status.unready())
        )
