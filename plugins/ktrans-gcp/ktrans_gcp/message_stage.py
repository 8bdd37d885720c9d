"""The local folder of messages that wait for the commit, and of what was sent.

<task>.<mark>.arrow  the messages of an attempt at a task, an Arrow IPC stream
<task>.<mark>.sent   the rows of it that were published: `first end` a line
<epoch>.published    all of the epoch is published
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ktrans.api import AccessError, EpochId


class MessageStage:
    """The staging folder of one sink of one pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Create the folder if need be.

        Raises:
            AccessError: it cannot be made or written.
        """
        hint = "set `stage_dir` to a folder that this user can write"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AccessError(
                f"cannot create the stage folder {self.folder}: {error.strerror}", hint=hint
            ) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise AccessError(
                f"permission denied: the stage folder {self.folder} cannot be written", hint=hint
            )

    def messages(self, name: str) -> Path:
        """Return the file of the messages of one attempt at a task: the task, a dot, a mark."""
        return self.folder / f"{name}.arrow"

    def discard(self, name: str) -> None:
        """Remove the files of an attempt."""
        self.messages(name).unlink(missing_ok=True)
        (self.folder / f"{name}.sent").unlink(missing_ok=True)

    def discard_until(self, epoch: EpochId) -> None:
        """Remove the files of this epoch and earlier ones of its history."""
        for path, history, number in self._found():
            if history == epoch.history and number <= epoch.number:
                path.unlink(missing_ok=True)

    def mark_published(self, epoch: EpochId) -> None:
        """Record that an epoch is published, and remove its other files."""
        marker = self._marker(epoch)
        marker.touch()
        self.sync()
        for path, history, number in self._found():
            if path != marker and history == epoch.history and number <= epoch.number:
                path.unlink(missing_ok=True)

    def is_published(self, epoch: EpochId) -> bool:
        """Return whether all of an epoch is published."""
        return self._marker(epoch).exists()

    def sent(self, name: str, rows: int) -> np.ndarray:
        """Return which messages of an attempt were published; booleans, shape (rows,)."""
        flags = np.zeros(rows, dtype=bool)
        path = self.folder / f"{name}.sent"
        if path.exists():
            for line in path.read_text("ascii").splitlines(keepends=True):
                first, _, end = line.partition(" ")
                if end.endswith("\n"):  # the last line may be torn
                    flags[int(first) : int(end)] = True
        return flags

    def note_sent(self, name: str, spans: list[tuple[int, int]]) -> None:
        """Record rows that were published."""
        with (self.folder / f"{name}.sent").open("ab", buffering=0) as file:
            file.write(b"".join(b"%d %d\n" % span for span in spans))

    def sync(self) -> None:
        """Make the names in the folder durable."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _marker(self, epoch: EpochId) -> Path:
        return self.folder / f"{epoch}.published"

    def _found(self) -> Iterator[tuple[Path, str, int]]:
        """Return each file with the history and number of its epoch."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if path.suffix in (".arrow", ".sent"):
                epoch = path.stem.rpartition("-")[0]
            elif path.suffix == ".published":
                epoch = path.stem
            else:
                continue
            history, _, number = epoch.rpartition("-")
            if number.isdecimal():
                yield path, history, int(number)
