"""Uploads the objects of one task: cut into parts that are sent in the background."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from ktrans.kit.objects.store import NewObject, ObjectTarget, Upload


@dataclass(frozen=True, slots=True)
class UploadPool:
    """What all tasks of a sink share: threads that send parts, and a bound for parts in memory."""

    pool: ThreadPoolExecutor
    room: BoundedSemaphore

    def submit(self, job: Callable[[], None]) -> Future[None]:
        """Run a job that holds a part, once there is room."""
        self.room.acquire()

        def run() -> None:
            try:
                job()
            finally:
                self.room.release()

        try:
            return self.pool.submit(run)
        except BaseException:
            self.room.release()
            raise


class UploadedFiles:
    """The objects of one attempt at a task.

    Args:
        root: the beginning of all keys.
        new: makes the description of an object from its key.
    """

    def __init__(
        self, target: ObjectTarget, uploads: UploadPool, root: str, new: Callable[[str], NewObject]
    ) -> None:
        self._target = target
        self._uploads = uploads
        self._root = root
        self._new = new
        self._files: list[_UploadedFile] = []

    @property
    def held_bytes(self) -> int:
        """The size of the part that each open object holds, at most."""
        return self._target.part_bytes

    def spill_folder(self) -> Path:
        """Return the folder for temporary files."""
        return Path(tempfile.gettempdir())

    def begin(self, relative: str) -> _UploadedFile:
        """Begin an object."""
        new = self._new(self._root + relative)
        file = _UploadedFile(self._target, self._uploads, new)
        self._files.append(file)
        return file

    def finish(self) -> list[dict[str, Any]]:
        """Wait until all objects are staged."""
        return [file.staged() for file in self._files]

    def abort(self) -> None:
        """Remove what was uploaded."""
        jobs = [self._uploads.pool.submit(file.abort) for file in self._files]
        for job in jobs:
            job.result()
        self._files.clear()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Change no errors: the target has converted them."""
        yield


class _UploadedFile:
    """An object that is being written: the begun part is held here, one part is being sent."""

    def __init__(self, target: ObjectTarget, uploads: UploadPool, new: NewObject) -> None:
        self._target = target
        self._uploads = uploads
        self._new = new
        self._upload: Upload | None = None
        self._buffer = bytearray()
        self._sent: Future[None] | None = None
        self._size = 0
        self._rows = 0
        self._more: Mapping[str, Any] = {}
        self._token: Any = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._size += len(view)
        part_bytes = self._target.part_bytes
        at = 0
        while at < len(view):
            piece = view[at : at + part_bytes - len(self._buffer)]
            self._buffer += piece
            at += len(piece)
            if len(self._buffer) == part_bytes:
                self._send(last=False)
        return len(view)

    def end(self, rows: int, more: Mapping[str, Any]) -> None:
        self._rows = rows
        self._more = more
        self._send(last=True)

    def staged(self) -> dict[str, Any]:
        """Wait until it is staged; returns what publishing needs."""
        assert self._sent is not None
        self._sent.result()
        return {
            "final": self._target.uri(self._new.key),
            "key": self._new.key,
            "mark": self._new.mark,
            "token": self._token,
            "rows": self._rows,
            "bytes": self._size,
            **self._more,
        }

    def drop(self) -> None:
        self._buffer = bytearray()

    def abort(self) -> None:
        """Remove what was sent; runs in the pool, after the part that is being sent."""
        if self._sent is not None:
            with contextlib.suppress(Exception):
                self._sent.exception()
        if self._upload is not None:
            self._upload.abort()

    def _send(self, *, last: bool) -> None:
        part, self._buffer = bytes(self._buffer), bytearray()
        if self._sent is not None:
            self._sent.result()  # parts go in order; a part that failed ends the file

        def job() -> None:
            if self._upload is None:
                self._upload = self._target.begin(self._new)
            if part:
                self._upload.write(part)
            if last:
                self._token = self._upload.stage()

        self._sent = self._uploads.submit(job)
