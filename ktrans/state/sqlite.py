"""The `sqlite` state store: one file on a local disk, for all runs of one machine."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import Field

from ktrans.api import AccessError, ComponentConfig, Context, LockedError, StateError
from ktrans.api.state import StateStore
from ktrans.kit.disk import DISK_FULL
from ktrans.kit.files.private_folder import private_folder
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase, no_space
from ktrans.kit.state.tables import STATE_VERSION


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
        if error.errno in DISK_FULL:
            raise no_space(path) from error
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


class SqliteStateConfig(ComponentConfig, type="sqlite"):
    """A SQLite file, with lock files beside it."""

    path: str = Field(
        default=".ktrans/state.db",
        min_length=1,
        description="The SQLite file, relative to the pipeline file; lock files are beside it. It "
        "must be on a local disk: locks of network file systems are unreliable.",
        examples=["/var/lib/ktrans/state.db"],
    )


class SqliteState(StateStore[SqliteStateConfig]):
    """Keeps state in a file. The kernel guards the hold: it ends with the process, never before."""

    shared = True
    """Other files may be in the same folder, see `WritesFolder`."""

    def __init__(self, config: SqliteStateConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.path = self.context.path(config.path)
        self.folder = self.path.parent.resolve()

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self.path)

    def owns(self, name: str) -> bool:
        """Return whether a file of the folder is the state, its write-ahead log, or a lock."""
        return name == self.path.name or name.startswith(
            (f"{self.path.name}-", f"{self.path.name}.")
        )

    @contextmanager
    def hold(self, pipeline: str, run: str = "") -> Iterator[SqliteDatabase]:
        """Lock the pipeline and open the file, creating it if need be."""
        with lock(self.path, pipeline, run), closing(SqliteDatabase(self.path)) as database:
            yield database

    @contextmanager
    def look(self, pipeline: str) -> Iterator[SqliteDatabase]:
        """Copy the file into memory."""
        del pipeline
        with closing(SqliteDatabase(MEMORY)) as copy:
            copy.path = self.path
            if self.path.exists():
                # An older file stays as it is: a look must not lock out the ktrans that runs on it.
                with closing(SqliteDatabase(self.path, version=0)) as original:
                    original.copy_to(copy)
                copy.migrate(STATE_VERSION)
            yield copy

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines in the file."""
        with self.look("") as database:
            return [name for (name,) in database.rows("SELECT name FROM pipelines ORDER BY name")]

    def check(self) -> None:
        """Check whether the file, or the folder that it is to be in, can be written."""
        folder = self.path.parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK) or (
            self.path.exists() and not os.access(self.path, os.W_OK)
        ):
            raise AccessError(
                f"the state store {self.path} cannot be written",
                hint="give this user the right to, or set state.path to another place",
            )
