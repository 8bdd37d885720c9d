"""The time that `now()` stands for: when the epoch was planned, so that a repeat gives the same rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_planned: ContextVar[dt.datetime | None] = ContextVar("ktrans_epoch_time", default=None)


@contextmanager
def epoch_time(planned: dt.datetime) -> Iterator[None]:
    """Let `now()` be this time inside, in this thread and in contexts copied here."""
    token = _planned.set(planned)
    try:
        yield
    finally:
        _planned.reset(token)


def now() -> dt.datetime:
    """Return when the epoch was planned that is being processed; outside of one, as in a preview, the time."""
    return _planned.get() or dt.datetime.now(dt.UTC)
