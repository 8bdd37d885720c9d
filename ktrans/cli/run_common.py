"""What `run` and `rejects replay` share: signals, observers, and how the receipt is told."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ktrans.api import ExitCode
from ktrans.cli.failures import REPORT, show_parts

if TYPE_CHECKING:
    from ktrans.engine.observer import Observer
    from ktrans.engine.receipt import RunReceipt
    from ktrans.registry.catalogue import Catalogue


@dataclass(slots=True)
class Stopping:
    """What signals ask for: first to finish the epoch under way, then to abandon it."""

    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    reload: threading.Event = field(default_factory=threading.Event)
    insisted: bool = False
    terminal: bool = field(default_factory=lambda: os.isatty(2))

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

    @contextmanager
    def reloading(self) -> Iterator[Callable[[], None]]:
        """Take SIGHUP as a call to load the configuration again.

        Gives what to call if that turns out not to be meant: SIGHUP does what it did before, also
        one that has come meanwhile.
        """
        before = signal.signal(signal.SIGHUP, self._hung_up)

        def not_meant() -> None:
            signal.signal(signal.SIGHUP, before)
            if self.reload.is_set():
                signal.raise_signal(signal.SIGHUP)

        try:
            yield not_meant
        finally:
            signal.signal(signal.SIGHUP, before)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        if self.terminal and not os.isatty(2):  # the terminal is gone: that is no call to reload
            self._received(number, frame)
        else:
            self.reload.set()

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
    from ktrans.engine.observer import Observers
    from ktrans.observe.observers import HookObserver, LogObserver

    observers: list[Observer] = [LogObserver(), HookObserver(catalogue, config)]
    if not progress:
        yield Observers(*observers)
        return
    from ktrans.observe.progress import ProgressObserver

    live = ProgressObserver()
    try:
        yield Observers(*observers, live)
    finally:
        live.close()


def wants_progress(*, quiet: bool, no_progress: bool) -> bool:
    """Tell whether a live line makes sense: on a terminal, and not if it is switched off."""
    dumb = os.environ.get("TERM") in {"dumb", ""}
    return sys.stderr.isatty() and not (quiet or no_progress or dumb)


def tell(
    receipt: RunReceipt,
    config: str,
    *,
    summary: bool,
    one_line: bool,
    warn: bool = True,
) -> None:
    """Tell how a run went.

    Args:
        receipt: of the run.
        config: the pipeline file as the user named it.
        summary: print it to stderr, for people.
        one_line: sum it up on stderr in one line, if there is no summary.
        warn: do so at least if records were rejected, and tell the run's notes, a line each. An
            error is told in any case.
    """
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
    elif receipt.quarantined and not summary:
        for item in receipt.quarantined[:10]:
            message = f"{item.uri} was set aside: {item.reason}"
            show_parts(item.code, message, hint=f"ktrans state show {config}")


def write_receipt(path: str, told: Any) -> None:
    """Write the receipt, or the list of them, that a run was asked to leave behind.

    Raises:
        StateError: it cannot be written.
    """
    import json

    from ktrans.observe.metrics import write_atomically

    write_atomically(Path(path), f"{json.dumps(told, indent=2, ensure_ascii=False)}\n")


def exit_code(receipt: RunReceipt, stopping: Stopping, *, fail_on_rejects: bool = False) -> int:
    """Give the exit code of a run."""
    if stopping.insisted:
        return ExitCode.INTERRUPTED
    refused = receipt.ledger.rejects or receipt.ledger.refused
    if fail_on_rejects and receipt.exit_code == ExitCode.OK and refused:
        return ExitCode.DATA
    return receipt.exit_code
