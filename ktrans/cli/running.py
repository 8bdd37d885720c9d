"""What `run` and `rejects replay` share: signals, observers, and how the receipt is told."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from ktrans.api import ExitCode
from ktrans.cli.failures import REPORT, show_json, show_parts

if TYPE_CHECKING:
    from ktrans.config.pipeline import Pipeline
    from ktrans.engine.events import Observer
    from ktrans.engine.receipt import RunReceipt
    from ktrans.registry.catalogue import Catalogue


@dataclass(slots=True)
class Stopping:
    """What signals ask for: first to finish the epoch under way, then to abandon it."""

    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    insisted: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while a run goes on.

        The third signal ends the process at once, as if nobody listened.
        """
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._received) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.stop.is_set():
            self.stop.set()
            self._say("finishing the epoch under way; once more to abandon it")
            return
        self.insisted = True
        self.abandon.set()
        signal.signal(number, signal.SIG_DFL)
        self._say("abandoning the epoch under way; the next run does it again")

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            os.write(2, f"\n{text}\n".encode())


def choose_allocator() -> None:
    """Let Arrow allocate by jemalloc where its build has it, unless the user has chosen.

    Blocks are freed by other threads than made them; jemalloc takes a tenth less CPU time for that
    than the default does, and less memory.
    """
    import pyarrow as pa

    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ and (
        "jemalloc" in pa.supported_memory_backends()
    ):
        pa.set_memory_pool(pa.jemalloc_memory_pool())


@contextmanager
def collecting() -> Iterator[None]:
    """Collect garbage while a run goes on, leaving out what was there before."""
    before = gc.isenabled()
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not before:
            gc.disable()


@contextmanager
def observing(catalogue: Catalogue, config: str, *, progress: bool) -> Iterator[Observer]:
    """Give the observers of a run: the log, the plugins, and a live line if wanted."""
    from ktrans.observe.observers import HookObserver, LogObserver, Observers

    observers: list[Observer] = [LogObserver(), HookObserver(catalogue, config)]
    if not progress:
        yield Observers(observers)
        return
    from ktrans.observe.progress import ProgressObserver

    live = ProgressObserver()
    try:
        yield Observers([*observers, live])
    finally:
        live.close()


@contextmanager
def serving(
    address: str | None,
    stale_secs: float,
    pipeline: Pipeline,
    catalogue: Catalogue,
    observer: Observer,
) -> Iterator[Observer]:
    """Serve the state of the run while it goes on, if an address is given.

    Raises:
        UsageError, UnavailableError: nobody can listen there.
    """
    if address is None:
        yield observer
        return
    from ktrans.engine.assemble import assemble
    from ktrans.engine.graph import graph_of
    from ktrans.observe.http import StatusServer, parse_address
    from ktrans.observe.observers import Observers
    from ktrans.observe.status import StatusObserver

    place = parse_address(address)
    assembly = assemble(pipeline, catalogue, ephemeral=True)
    graph = graph_of(assembly)
    assembly.close()
    status = StatusObserver(pipeline.name, stale_secs)
    server = StatusServer(place, [(status, graph)])
    logging.getLogger("ktrans.run").info(
        "serving %s", server.url, extra={"event": "serving", "fields": {"url": server.url}}
    )
    if sys.stderr.isatty():
        click.echo(f"status: {server.url}", err=True)
    try:
        yield Observers([observer, status])
    finally:
        server.close()


def wants_progress(*, quiet: bool, no_progress: bool) -> bool:
    """Tell whether a live line makes sense: on a terminal, and not if it is switched off."""
    dumb = os.environ.get("TERM") in {"dumb", ""}
    return sys.stderr.isatty() and not (quiet or no_progress or dumb)


def tell(
    receipt: RunReceipt,
    config: str,
    *,
    as_json: bool,
    summary: bool,
    one_line: bool,
    warn: bool = True,
) -> None:
    """Tell how a run went.

    Args:
        receipt: of the run.
        config: the pipeline file as the user named it.
        as_json: print the receipt to stdout.
        summary: print it to stderr, for people.
        one_line: sum it up on stderr in one line, if there is no summary.
        warn: do so at least if records were rejected, and tell the run's notes, a line each. An
            error is told in any case.
    """
    if as_json:
        show_json(receipt.to_json())
    if summary:
        from ktrans.observe.receipt_text import receipt_text

        columns = min(shutil.get_terminal_size().columns, 100)
        text = receipt_text(receipt, config, width=columns, colour=True)
        click.echo(text, err=True)  # click takes the colours out if stderr is no terminal
    elif one_line or (warn and (receipt.ledger.rejects or receipt.ledger.refused or receipt.torn)):
        from ktrans.observe import receipt_text as texts

        click.echo(texts.one_line(receipt), err=True)
    if warn and not summary and receipt.outcome != "skipped":
        for note in receipt.notes:
            click.echo(f"note: {note}", err=True)
    if receipt.error:
        error = receipt.error
        hint = error["hint"] or (REPORT if receipt.exit_code == ExitCode.SOFTWARE else None)
        if summary:
            click.echo(err=True)
        show_parts(
            error["code"],
            error["message"],
            hint=hint,
            place=error.get("place"),
            component=error["component"],
        )
    elif receipt.set_aside and not summary:
        for item in receipt.set_aside[:10]:
            message = f"{item.uri} was set aside: {item.reason}"
            show_parts(item.code, message, hint=f"ktrans state show {config}")


def keep(receipt: RunReceipt, receipt_file: str | None, metrics_file: str | None) -> None:
    """Write the files that a run was asked to leave behind.

    Raises:
        StateError: one cannot be written.
    """
    if receipt_file is None and metrics_file is None:
        return
    from ktrans.observe.metrics import write_atomically, write_metrics_file

    if receipt_file is not None:
        import json

        text = json.dumps(receipt.to_json(), indent=2, ensure_ascii=False)
        write_atomically(Path(receipt_file), f"{text}\n")
    if metrics_file is not None:
        write_metrics_file(Path(metrics_file), receipt.to_json(), now=time.time())


def exit_code(receipt: RunReceipt, stopping: Stopping, *, fail_on_rejects: bool = False) -> int:
    """Give the exit code of a run."""
    if stopping.insisted:
        return ExitCode.INTERRUPTED
    refused = receipt.ledger.rejects or receipt.ledger.refused
    if fail_on_rejects and receipt.exit_code == ExitCode.OK and refused:
        return ExitCode.DATA
    return receipt.exit_code
