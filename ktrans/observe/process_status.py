"""The status of a process: its pipelines, and the results of loading the configuration."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from ktrans.observe.metrics import merge, without_created
from ktrans.observe.run_status import StatusObserver

if TYPE_CHECKING:
    from ktrans.observe.graph import Graph

Shown = tuple[StatusObserver, "Graph"]


class ProcessStatus:
    """The pipelines of a process; they may be added, removed and changed at any time."""

    def __init__(self, stale_after: float, clock: Callable[[], float] = time.time) -> None:
        self._stale_after = stale_after
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
        for outcome in ("applied", "failed"):
            self._reloads.labels(outcome)
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "config_generation": (
                "Number of configurations that were applied",
                lambda: self.generation,
            ),
            "config_loaded_timestamp_seconds": (
                "Time when the configuration was last applied",
                lambda: self._loaded,
            ),
            "config_reload_failing": (
                "1 if the current configuration files are invalid",
                lambda: bool(self._failed),
            ),
        }
        for name, (about, read) in gauges.items():
            Gauge(f"ktrans_{name}", about, registry=registry).set_function(read)

    # -- updated by the process --------------------------------------------------------------------

    def observer(self, name: str) -> StatusObserver:
        """Return the observer of a pipeline, the same one for all its runs."""
        with self._lock:
            if name not in self._observers:
                self._observers[name] = StatusObserver(name, self._stale_after, self._clock)
            return self._observers[name]

    def show(self, name: str, graph: Graph) -> None:
        """Show a pipeline with this graph."""
        observer = self.observer(name)
        observer.generation = self.generation
        with self._lock:
            self._shown[name] = (observer, graph)

    def remove(self, name: str) -> None:
        """Remove a pipeline."""
        with self._lock:
            self._shown.pop(name, None)
            self._observers.pop(name, None)

    def reloaded(self, generation: int) -> None:
        """Record that a new configuration was applied."""
        self._reloads.labels("applied").inc()
        with self._lock:
            self.generation, self._loaded = generation, self._clock()
            self._failed, self._failed_at = [], None

    def reload_failed(self, errors: Sequence[str]) -> None:
        """Record that a new configuration is invalid; the previous one stays in use."""
        self._reloads.labels("failed").inc()
        with self._lock:
            self._failed, self._failed_at = list(errors), self._clock()

    # -- read by others ------------------------------------------------------------------------

    @property
    def pipelines(self) -> list[Shown]:
        """The pipelines, each with its graph."""
        with self._lock:
            return list(self._shown.values())

    def config(self) -> dict[str, Any]:
        """Return the results of loading the configuration; times in seconds since 1970."""
        with self._lock:
            failed = {"time": self._failed_at, "errors": list(self._failed)}
            return {
                "now": self._clock(),
                "generation": self.generation,
                "loaded": self._loaded,
                "failed": failed if self._failed else None,
            }

    def to_json(self) -> dict[str, Any]:
        """Return everything, as `/status.json` does."""
        return {
            "config": self.config(),
            "pipelines": [status.to_json() for status, _ in self.pipelines],
        }

    def metrics(self) -> str:
        """Return the metrics of the process and all its pipelines, in the text format of Prometheus."""
        own = without_created(generate_latest(self._registry).decode())
        return merge([*(status.metrics.text() for status, _ in self.pipelines), own])

    def unready(self) -> str:
        """Return why pipelines are not ready, a line each; empty if all are."""
        shown = self.pipelines
        if not shown:
            return "no pipeline runs\n"
        return "".join(
            f"{status.pipeline}: {why}\n" for status, _ in shown if (why := status.unready())
        )
