"""Where `BufferedSink` keeps rows until the commit: what it needs of a place, and a folder."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ktrans.kit.files.durable import replace_file, sync_folder
from ktrans.kit.files.private_folder import private_folder
from ktrans.kit.files.staging import check_writable


class StageFile(Protocol):
    """A file of rows that is being written."""

    stream: BinaryIO

    def end(self) -> int:
        """Make it durable; return how many parts it has."""

    def drop(self) -> None:
        """Remove it, also after `end`. Never raises for what is already gone."""


class RowStage(ABC):
    """A place with files by name. Names of rows are never used twice."""

    @abstractmethod
    def begin(self, name: str) -> StageFile:
        """Begin a file of rows."""

    @abstractmethod
    def listed(self) -> set[str]:
        """Return the names of what is there, small files included."""

    @abstractmethod
    def there(self, name: str, parts: int, names: set[str]) -> bool:
        """Return whether a file of rows is there as a whole, by what was listed."""

    @abstractmethod
    def fetch(self, name: str, parts: int) -> contextlib.AbstractContextManager[Path]:
        """Return a file of rows as a local file; one that was made for this is removed at the end.

        Raises:
            StageLostError: it is gone.
        """

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return a small file; None if there is none."""

    @abstractmethod
    def keep(self, name: str, data: bytes) -> None:
        """Write a small file, or replace it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def check(self) -> None:
        """Check whether files can be written there."""

    @abstractmethod
    def close(self) -> None:
        """Release connections. Safe to call twice."""


class FolderStage(RowStage):
    """A folder of this machine, or one that several machines have mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str) -> StageFile:
        """Create the file, and the folder for this user only."""
        private_folder(self.folder)
        return _FolderFile(self.folder / name)

    def listed(self) -> set[str]:
        """List the folder."""
        return set(os.listdir(self.folder)) if self.folder.is_dir() else set()  # noqa: PTH208

    def there(self, name: str, parts: int, names: set[str]) -> bool:
        """Return whether the file is there."""
        del parts
        return name in names

    @contextlib.contextmanager
    def fetch(self, name: str, parts: int) -> Iterator[Path]:
        """Return the path."""
        del parts
        yield self.folder / name

    def read(self, name: str) -> bytes | None:
        """Read the file."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).read_bytes()
        return None

    def keep(self, name: str, data: bytes) -> None:
        """Write the file whole."""
        replace_file(self.folder / name, data)

    def remove(self, name: str) -> None:
        """Remove the file."""
        (self.folder / name).unlink(missing_ok=True)

    def check(self) -> None:
        """Check that the folder can be written, without making it."""
        check_writable(self.folder)

    def close(self) -> None:
        """Do nothing."""


class _FolderFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.stream: BinaryIO = path.open("wb")

    def end(self) -> int:
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        sync_folder(self._path.parent)
        return 1

    def drop(self) -> None:
        self.stream.close()
        self._path.unlink(missing_ok=True)
