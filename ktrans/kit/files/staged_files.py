"""Files of one task as they are written into the staging folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ktrans.api import TaskId
from ktrans.kit.files.staging import Staging, os_errors, sync_tree


class StagedFiles:
    """The place of one task's files: a folder of its own below the staging folder."""

    def __init__(self, staging: Staging, task: TaskId) -> None:
        self._staging = staging
        self._task = task
        self.done: list[dict[str, Any]] = []

    def begin(self, relative: str) -> _StagedFile:
        """Create a file, and the folders that it is in."""
        staged = self._staging.place(self._task, relative)
        return _StagedFile(self, staged, self._staging.root / relative)

    def finish(self) -> list[dict[str, Any]]:
        """Make the names durable; the files are already."""
        if self.done:
            sync_tree(self._staging.folder(self._task))
        return self.done

    def abort(self) -> None:
        """Remove the task's folder."""
        self.done.clear()
        self._staging.discard(self._task)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Name the folder in what goes wrong."""
        with os_errors(self._staging.folder(self._task)):
            yield


class _StagedFile:
    held_bytes = 0

    def __init__(self, place: StagedFiles, staged: Path, final: Path) -> None:
        self._place = place
        self._staged = staged
        self._final = final
        self._file: BinaryIO = staged.open("wb", buffering=1 << 20)
        self._size = 0

    def write(self, data: Any) -> int:
        self._file.write(data)
        length = memoryview(data).nbytes
        self._size += length
        return length

    def end(self, rows: int) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._place.done.append(
            {
                "staged": str(self._staged),
                "final": str(self._final),
                "rows": rows,
                "bytes": self._size,
            }
        )

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
