"""What the command line does while pipelines run: log, live lines, status page, metrics file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrans.api import UsageError
from ktrans.cli import log_events
from ktrans.engine.fleet.observer import FleetObserver
from ktrans.registry.redaction import redact

if TYPE_CHECKING:
    from ktrans.api import KtransError
    from ktrans.config.model import Pipeline
    from ktrans.engine.fleet.member import Member
    from ktrans.engine.fleet.observer import ReloadChange
    from ktrans.engine.observer import Observer
    from ktrans.observe.metrics import MetricsFile
    from ktrans.observe.process_status import Board
    from ktrans.observe.progress import ProgressObserver
    from ktrans.registry.catalogue import Catalogue

_log = logging.getLogger("ktrans.run")


class Desk(FleetObserver):
    """Looks on for a person and for machines.

    Args:
        catalogue: whose plugins are told of runs.
        stdout_taken: whether stdout is for the receipt, and so for no sink.
    """

    def __init__(self, catalogue: Catalogue, *, stdout_taken: bool) -> None:
        self._catalogue = catalogue
        self._stdout_taken = stdout_taken
        self._progress: ProgressObserver | None = None
        self._board: Board | None = None
        self._address = ("", 0)
        self._metrics: MetricsFile | None = None

    @contextmanager
    def open(
        self, *, progress: bool, address: str | None, stale_secs: float, metrics_file: str | None
    ) -> Iterator[None]:
        """Set up what is wanted, for as long as pipelines run.

        Args:
            progress: show live lines.
            address: where the status page will be served, if at all.
            stale_secs: after how long of nothing a pipeline is not ready.
            metrics_file: what to write at the end of each run.

        Raises:
            UsageError: the address is none.
        """
        with ExitStack() as held:
            if address is not None:
                from ktrans.observe.http import parse_address
                from ktrans.observe.process_status import Board

                self._address = parse_address(address)
                self._board = Board(stale_secs)
            if progress:
                from ktrans.observe.progress import ProgressObserver

                self._progress = ProgressObserver()
                held.callback(self._progress.close)
            if metrics_file is not None:
                from ktrans.observe.metrics import MetricsFile

                self._metrics = MetricsFile(Path(metrics_file))
            yield

    @contextmanager
    def serving(self, members: Iterable[Member]) -> Iterator[None]:
        """Serve the status page, if that is wanted, with those who are about to start.

        Raises:
            UnavailableError: nobody can listen at the address.
        """
        if self._board is None:
            yield
            return
        from ktrans.observe.http import StatusServer

        for member in members:
            self.starting(member)
        server = StatusServer(self._address, self._board)
        _log.info("serving %s", server.url, extra={"event": log_events.SERVING, "url": server.url})
        if sys.stderr.isatty():
            click.echo(f"status: {server.url}", err=True)
        try:
            yield
        finally:
            server.close()

    def observer(self, pipeline: Pipeline) -> Observer:
        """Give the log, the plugins, and what else is wanted.

        Raises:
            UsageError: the pipeline writes to stdout, and so does the receipt.
        """
        from ktrans.engine.observer import Observers
        from ktrans.observe.observers import HookObserver, LogObserver

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
        if self._board is not None:
            observers.append(self._board.observer(pipeline.name))
        return Observers(*observers)

    def starting(self, member: Member) -> None:
        """Show it on the page."""
        if self._board is not None:
            from ktrans.observe.graph import graph_of

            self._board.show(member.name, graph_of(member.run.assembly))

    def ended(self, member: Member) -> None:
        """Write its metrics."""
        if self._metrics is not None:
            self._metrics.add(member.receipt.to_json(), now=time.time())
            self._metrics.write()

    def removed(self, name: str) -> None:
        """Take it off the page."""
        if self._board is not None:
            self._board.remove(name)

    def reloaded(self, change: ReloadChange) -> None:
        """Log it, and show it."""
        if self._board is not None:
            self._board.reloaded(change.generation)
        told = {
            "new": list(change.new),
            "changed": list(change.changed),
            "removed": list(change.removed),
            "unchanged": list(change.unchanged),
        }
        what = "; ".join(f"{key}: {', '.join(names)}" for key, names in told.items() if names)
        _log.info(
            "configuration %d is taken: %s",
            change.generation,
            what,
            extra={"event": log_events.CONFIG_RELOADED, "generation": change.generation, **told},
        )

    def reload_failed(self, errors: list[KtransError]) -> None:
        """Log it as an error, and show it."""
        texts = [redact(_text(error)) for error in errors]
        if self._board is not None:
            self._board.reload_failed(texts)
        _log.error(
            "the new configuration is wrong, the old one goes on: %s",
            "; ".join(texts),
            extra={"event": log_events.RELOAD_FAILED, "errors": texts},
        )


def _text(error: KtransError) -> str:
    return f"{error.where}: {error.message}" if error.where else error.message
