"""Makes files and their names durable, many at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

_THREADS = 8
"""How many requests a disk gets at a time; it answers them together."""
_MOST_OPEN = 32
"""How many files may wait for the disk."""


class BackgroundSyncs:
    """Makes files durable and closes them, in threads."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._begun: deque[Future[None]] = deque()

    def add(self, file: BinaryIO) -> None:
        """Begin with a file, once not too many others wait.

        Raises:
            OSError: one of the earlier files cannot be made durable.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sync")
        self._begun.append(self._pool.submit(_sync_and_close, file))
        if len(self._begun) > _MOST_OPEN:
            self._begun.popleft().result()

    def wait(self) -> None:
        """Wait until all files are durable.

        Raises:
            OSError: one of them cannot be made durable.
        """
        while self._begun:
            self._begun.popleft().result()
        self.stop()

    def stop(self) -> None:
        """Wait until all files are closed, durable or not."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._begun.clear()


def _sync_and_close(file: BinaryIO) -> None:
    with file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # may be passed through but not read, so it is not one that was made here
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folders(folders: Iterable[Path]) -> None:
    """Make the names in folders durable."""
    every = list(folders)
    if len(every) <= _THREADS:
        for folder in every:
            sync_folder(folder)
        return
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="sync") as pool:
        for _ in pool.map(sync_folder, every):
            pass


def sync_tree(folder: Path) -> None:
    """Make the names in a folder and in all folders below it durable."""
    sync_folders(Path(path) for path, _, _ in os.walk(folder))


def replace_file(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all, durably."""
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)
