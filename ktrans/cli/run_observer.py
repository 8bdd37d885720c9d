"""What the command line shows while pipelines run: log, progress, status page, metrics file."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrans.api import UsageError
from ktrans.engine.fleet.observer import FleetObserver
from ktrans.engine.observer import Observer, Observers
from ktrans.observe import log_events
from ktrans.observe.observers import HookObserver, LogObserver
from ktrans.registry.redaction import redact

if TYPE_CHECKING:
    from ktrans.api import KtransError
    from ktrans.config.model import Pipeline
    from ktrans.engine.fleet.member import Member
    from ktrans.engine.fleet.observer import ReloadChange
    from ktrans.observe.metrics import MetricsFile
    from ktrans.observe.process_status import ProcessStatus
    from ktrans.observe.progress import ProgressObserver
    from ktrans.registry.catalogue import Catalogue

_log = logging.getLogger("ktrans.run")


def wants_progress(*, quiet: bool, no_progress: bool) -> bool:
    """Return whether to show a progress line: on a terminal, unless it is switched off."""
    dumb = os.environ.get("TERM") in {"dumb", ""}
    return sys.stderr.isatty() and not (quiet or no_progress or dumb)


class RunObserver(FleetObserver):
    """Shows what happens to the pipelines of `ktrans run`.

    If the receipt goes to stdout (`stdout_taken`), no sink may. A pipeline is not ready after
    `stale_after` seconds without activity.

    Raises:
        UsageError: the address is not valid.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        stdout_taken: bool,
        progress: bool,
        address: str | None = None,
        stale_after: float = 0,
        metrics_file: str | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._stdout_taken = stdout_taken
        self._progress: ProgressObserver | None = None
        self._status: ProcessStatus | None = None
        self._metrics: MetricsFile | None = None
        if address is not None:
            from ktrans.kit.listen import parse_address
            from ktrans.observe.process_status import ProcessStatus

            self._address = parse_address(address)
            self._status = ProcessStatus(stale_after)
        if progress:
            from ktrans.observe.progress import ProgressObserver

            self._progress = ProgressObserver()
        if metrics_file is not None:
            from ktrans.observe.metrics import MetricsFile

            self._metrics = MetricsFile(Path(metrics_file))

    def close(self) -> None:
        """Remove the progress lines."""
        if self._progress is not None:
            self._progress.close()

    @contextmanager
    def serve_status(self, members: Iterable[Member]) -> Iterator[None]:
        """Serve the status page while inside, if there is an address.

        Raises:
            UnavailableError: the address cannot be used.
        """
        if self._status is None:
            yield
            return
        from ktrans.observe.status_server import StatusServer

        for member in members:
            self.starting(member)
        server = StatusServer(self._address, self._status)
        _log.info("serving %s", server.url, extra={"event": log_events.SERVING, "url": server.url})
        if sys.stderr.isatty():
            click.echo(f"status: {server.url}", err=True)
        try:
            yield
        finally:
            server.close()

    def observer(self, pipeline: Pipeline) -> Observer:
        """Return the observers of a run: log, plugins, progress and status.

        Raises:
            UsageError: the pipeline writes to stdout, and so does the receipt.
        """
        if self._stdout_taken and any(e.config.type == "stdout" for e in pipeline.sinks):
            raise UsageError(
                "--json and a sink of type stdout would both write to stdout",
                hint="use --receipt FILE",
            )
        observers: list[Observer] = [
            LogObserver(),
            HookObserver(self._catalogue, str(pipeline.path)),
        ]
        if self._progress is not None:
            observers.append(self._progress)
        if self._status is not None:
            observers.append(self._status.observer(pipeline.name))
        return Observers(*observers)

    def starting(self, member: Member) -> None:
        """Show it on the status page."""
        if self._status is not None:
            from ktrans.observe.graph import graph_of

            self._status.show(member.name, graph_of(member.run.assembly))

    def ended(self, member: Member) -> None:
        """Write its metrics."""
        if self._metrics is not None:
            self._metrics.add(member.receipt.to_json(), now=time.time())
            self._metrics.write()

    def removed(self, name: str) -> None:
        """Remove it from the status page."""
        if self._status is not None:
            self._status.remove(name)

    def reloaded(self, change: ReloadChange) -> None:
        """Log it, and show it on the status page."""
        if self._status is not None:
            self._status.reloaded(change.generation)
        names = {
            "new": list(change.new),
            "changed": list(change.changed),
            "removed": list(change.removed),
            "unchanged": list(change.unchanged),
        }
        _log.info(
            "configuration %d is applied: %s",
            change.generation,
            "; ".join(f"{key}: {', '.join(some)}" for key, some in names.items() if some),
            extra={"event": log_events.CONFIG_RELOADED, "generation": change.generation, **names},
        )

    def reload_failed(self, errors: list[KtransError]) -> None:
        """Log it as an error, and show it on the status page."""
        texts = [redact(_text(error)) for error in errors]
        if self._status is not None:
            self._status.reload_failed(texts)
        _log.error(
            "the new configuration is invalid, the previous one stays in use: %s",
            "; ".join(texts),
            extra={"event": log_events.RELOAD_FAILED, "errors": texts},
        )


def _text(error: KtransError) -> str:
    return f"{error.where}: {error.message}" if error.where else error.message
