"""The signals that stop a run, and that reload its configuration."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec


class Signals(msgspec.Struct):
    """What signals have asked for.

    The first SIGTERM or SIGINT sets `stop`: finish the current epoch. The second one sets
    `abandon`: undo it. SIGHUP sets `reload`: load the configuration again.
    """

    stop: threading.Event = msgspec.field(default_factory=threading.Event)
    abandon: threading.Event = msgspec.field(default_factory=threading.Event)
    reload: threading.Event = msgspec.field(default_factory=threading.Event)
    terminal: bool = msgspec.field(default_factory=lambda: os.isatty(2))

    @contextmanager
    def handle_stop(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while inside; the third one ends the process at once."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._on_stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def handle_reload(self) -> Iterator[Callable[[], None]]:
        """Handle SIGHUP while inside.

        Yields a function that restores the handler from before, for runs that do not reload; a
        SIGHUP that has come meanwhile is sent again.
        """
        before = signal.signal(signal.SIGHUP, self._on_hangup)

        def restore() -> None:
            signal.signal(signal.SIGHUP, before)
            if self.reload.is_set():
                signal.raise_signal(signal.SIGHUP)

        try:
            yield restore
        finally:
            signal.signal(signal.SIGHUP, before)

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        if self.terminal and not os.isatty(2):  # the terminal was closed: stop, do not reload
            self._on_stop(number, frame)
        else:
            self.reload.set()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.stop.is_set():
            self.stop.set()
            self._show("finishing the current epoch; signal again to abandon it")
            return
        self.abandon.set()
        signal.signal(number, signal.SIG_DFL)
        self._show("abandoning the current epoch; the next run repeats it")

    def _show(self, text: str) -> None:
        if sys.stderr.isatty():
            os.write(2, f"\n{text}\n".encode())
