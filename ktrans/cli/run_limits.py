"""Limits of the system on a process that runs pipelines."""

from __future__ import annotations

import contextlib
import resource


def allow_open_files() -> None:
    """Raise the limit of open files as far as the user may: many tasks open dozens each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems know a lower limit than they tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
