"""The lock of a pipeline: an advisory lock on a file beside the state store."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ktrans.api import LockedError, StateError
from ktrans.kit.files.private_folder import private_folder


def lock_path(state_path: Path, pipeline: str) -> Path:
    """Return the lock file of a pipeline."""
    return state_path.with_name(f"{state_path.name}.{pipeline}.lock")


@contextmanager
def lock(state_path: Path, pipeline: str, run: str = "") -> Iterator[None]:
    """Hold the pipeline's lock; the kernel releases it when the process dies.

    Raises:
        LockedError: another run holds it; the message says which process and since when.
        StateError: the lock file cannot be created.
    """
    path = lock_path(state_path, pipeline)
    try:
        private_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(
            f"cannot create the lock file {path}: {error.strerror or error}",
            hint="set state.path to a writable place",
            code="state_unwritable",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "unknown"
            raise LockedError(
                f"another run of pipeline {pipeline!r} is under way ({holder})",
                hint="wait for it to end, or use --if-locked skip in cron to leave quietly",
            ) from error
        os.ftruncate(handle, 0)
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        whose = f"run {run}, " if run else ""
        os.pwrite(handle, f"{whose}process {os.getpid()}, since {now}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
