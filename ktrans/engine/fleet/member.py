"""One pipeline of a fleet, which runs in a thread of its own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ktrans.api import KtransError
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.fleet.fingerprint import pipeline_fingerprint
from ktrans.engine.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from ktrans.config.draft import LoadedFile
    from ktrans.engine.observer import Observer
    from ktrans.engine.receipt import RunReceipt
    from ktrans.engine.run_context import RunOptions
    from ktrans.registry.catalogue import Catalogue


class Member:
    """A pipeline of a fleet: it is built, then it runs, then it has ended.

    Attributes:
        cancellation: stops this pipeline.
        after: members that have to end before it may start.
        removed: whether the configuration no longer has it.
        reported: whether the observer of the fleet was notified of its end.
        error: the configuration or plugin error that kept it from running.

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
        self.reported = False
        self.error: KtransError | None = None
        self.fingerprint = pipeline_fingerprint(file.pipeline)
        self.run = Run(file.pipeline, catalogue, options, observer, self.cancellation)
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

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
        """The run's receipt; incomplete until the run has ended."""
        return self.run.receipt

    @property
    def ended(self) -> bool:
        """Whether its run is over and its resources are released."""
        return self._ended.is_set()

    @property
    def healthy(self) -> bool:
        """Whether it runs, or has ended without an error or a stop."""
        return not self.ended or self.receipt.outcome in {"done", "nothing_to_do", "skipped"}

    def start(self, on_end: Callable[[], object]) -> None:
        """Run it in a thread, which calls `on_end` at the end."""
        context = contextvars.copy_context()

        def work() -> None:
            try:
                context.run(self._work)
            finally:
                self._ended.set()
                on_end()

        self._thread = threading.Thread(target=work, name=f"run-{self.name}")
        self._thread.start()

    def discard(self) -> None:
        """Close the components of a member that will not start."""
        self.run.assembly.close()
        self._ended.set()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            self.run.run()
        except KtransError as error:
            self.error = error
            self.run.fail(error)
        except Exception as error:  # noqa: BLE001 - a defect in one pipeline does not stop the others
            self.run.fail(error)
        except BaseException as error:  # noqa: BLE001 - such as SystemExit in a plugin
            self.run.fail(RuntimeError(f"the run was ended by {type(error).__name__}"))
