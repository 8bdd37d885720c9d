"""One pipeline of those that run side by side: its run, in a thread of its own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ktrans.api import KtransError
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.fleet.request import fingerprint
from ktrans.engine.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from ktrans.config.draft import LoadedFile
    from ktrans.engine.observer import Observer
    from ktrans.engine.receipt import RunReceipt
    from ktrans.engine.run_options import RunOptions
    from ktrans.registry.catalogue import Catalogue


class Member:
    """A pipeline that is built, then runs, then has ended.

    Args:
        file: the pipeline.
        catalogue: where its components come from.
        options: of its run.
        observer: who looks on.

    Attributes:
        cancellation: how to stop it, and it alone.
        after: those that have to end before it may start.
        removed: it was told to leave since the configuration has it no longer.
        error: what kept it from running at all, or ended it unforeseen.

    Raises:
        ConfigError, PluginError: its components do not fit together.
    """

    def __init__(
        self, file: LoadedFile, catalogue: Catalogue, options: RunOptions, observer: Observer
    ) -> None:
        self.file = file
        self.pipeline = file.pipeline
        self.options = options
        self.cancellation = Cancellation(clock=options.clock)
        self.after: list[Member] = []
        self.removed = False
        self.told = False
        self.error: KtransError | None = None
        self.fingerprint = fingerprint(file.pipeline)
        self.run = Run(file.pipeline, catalogue, options, observer, self.cancellation)
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name

    @property
    def path(self) -> Path:
        """The pipeline's file."""
        return self.pipeline.path

    @property
    def receipt(self) -> RunReceipt:
        """The run's receipt; not whole before the run has ended."""
        return self.run.receipt

    @property
    def ended(self) -> bool:
        """Whether it has run, and all that it held is let go."""
        return self._over.is_set()

    @property
    def well(self) -> bool:
        """Whether it runs, or has come to the end that it was meant to."""
        return not self.ended or self.receipt.outcome in {"done", "nothing_to_do", "skipped"}

    def start(self, on_end: Callable[[], object]) -> None:
        """Run it in a thread; `on_end` is called there at the end."""
        context = contextvars.copy_context()

        def work() -> None:
            try:
                context.run(self._work)
            finally:
                self._over.set()
                on_end()

        self._thread = threading.Thread(target=work, name=f"run-{self.name}")
        self._thread.start()

    def discard(self) -> None:
        """Let go of what was built; for one that is not to start."""
        self.run.assembly.close()
        self._over.set()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            self.run.run()
        except KtransError as error:
            self.error = error
            self.run.end(error)
        except Exception as error:  # noqa: BLE001 - one pipeline's defect is not the others'
            self.run.end(error)
        except BaseException as error:  # noqa: BLE001 - such as SystemExit in a plugin
            self.run.end(RuntimeError(f"the run was ended by {type(error).__name__}"))
