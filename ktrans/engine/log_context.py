"""What a line of the log knows besides its text: the run it belongs to, and the component.

Names are bound to the context of a thread (`contextvars`), so pipelines that run side by side in one
process do not mix theirs. The engine takes the context along into its own threads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_bound: ContextVar[Mapping[str, Any]] = ContextVar("ktrans_log", default={})  # noqa: B039 - never changed
_runs: list[Mapping[str, Any]] = []
_lock = threading.Lock()


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Add fields to every line that is logged inside, in this thread and in contexts copied here.

    With `run_id` among them the fields also stand for threads that nobody bound, such as those of
    an SDK, as long as this is the only run of the process.
    """
    merged = {**_bound.get(), **fields}
    token = _bound.set(merged)
    is_run = "run_id" in fields
    if is_run:
        with _lock:
            _runs.append(merged)
    try:
        yield
    finally:
        _bound.reset(token)
        if is_run:
            with _lock:
                _runs[:] = [run for run in _runs if run is not merged]


def bound() -> Mapping[str, Any]:
    """Give the fields that hold for the calling thread."""
    fields = _bound.get()
    if not fields:
        with _lock:
            if len(_runs) == 1:
                return _runs[0]
    return fields


class ComponentLogger(logging.Logger):
    """A component's own logger: one of the standard library's, whose lines name the component.

    It hangs below the logger of its name, whose level and handlers hold for it too.

    Args:
        name: the logger's name, such as `ktrans.sink.s3`.
        fields: what its lines have: `pipeline` and `component`.
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.parent = logging.getLogger(name)
        self._fields = dict(fields)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the standard library's name
        """Ask the parent, which is told when levels change."""
        return self.parent is not None and self.parent.isEnabledFor(level)

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802 - likewise
        """Make a record that knows whose it is."""
        record = super().makeRecord(*args, **kwargs)
        for key, value in self._fields.items():
            record.__dict__.setdefault(key, value)
        return record
