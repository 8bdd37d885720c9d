"""The fields that log lines get from their context: the run that they belong to, and the component.

Fields are bound to the context of a thread (`contextvars`), so pipelines that run side by side in one
process do not mix theirs. The engine copies the context into the threads that it starts.
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

    If `run_id` is among them, and this is the only run of the process, threads without fields of
    their own, such as those of an SDK, log them too.
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
    """Return the fields that are bound in the calling thread."""
    fields = _bound.get()
    if not fields:
        with _lock:
            if len(_runs) == 1:
                return _runs[0]
    return fields


class ComponentLogger(logging.Logger):
    """A component's logger: a logger of the standard library whose lines name the component.

    Its parent is the logger of its name, whose level and handlers apply to it too.
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.parent = logging.getLogger(name)
        self._fields = dict(fields)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the standard library's name
        """Ask the parent, whose cache is cleared when levels change."""
        return self.parent is not None and self.parent.isEnabledFor(level)

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802 - likewise
        """Make a record with the fields of this logger."""
        record = super().makeRecord(*args, **kwargs)
        for key, value in self._fields.items():
            record.__dict__.setdefault(key, value)
        return record
