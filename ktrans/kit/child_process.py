"""Says how a child process has ended."""

from __future__ import annotations

import signal
from contextlib import suppress


def how_it_ended(code: int) -> str:
    """Return the name of the signal that ended a process, or its exit code, as a text."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
