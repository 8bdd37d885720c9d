"""The bytes of a file or of a range of it, checked against changes while it is read."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ktrans.api import AccessError, Payload, RejectError, RetryableError, Split, SplitChangedError
from ktrans.sources.files.known_files import fingerprint
from ktrans.sources.files.listing import from_key

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class RangeReader(io.RawIOBase):
    """Reads exactly the bytes [start, end) of a file descriptor, which it owns."""

    def __init__(self, fd: int, start: int, end: int, name: str) -> None:
        super().__init__()
        self.name = name
        self._fd = fd
        self._left = end - start
        os.lseek(fd, start, os.SEEK_SET)

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes; the rest if it is negative or None."""
        if size is None or size < 0:
            return self.readall()
        want = min(size, self._left)
        if not want:
            return b""
        data = os.read(self._fd, want)
        self._took(len(data))
        return data

    def readall(self) -> bytes:
        """Read the rest."""
        pieces = []
        while piece := self.read(1 << 24):
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer."""
        view = memoryview(buffer).cast("B")[: self._left]
        if not len(view):
            return 0
        count = os.readv(self._fd, [view])
        self._took(count)
        return count

    def _took(self, count: int) -> None:
        if not count:
            raise SplitChangedError(
                f"{self.name} became shorter while it was read", code="split_shrank"
            )
        self._left -= count

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            os.close(self._fd)
        super().close()


class FilePayload(Payload):
    """A file at the version that was planned.

    `split.data` has path, size, inode, mtime_ns, start, end, first_line, head (fingerprint of the
    object's first bytes, or None) and whole.
    """

    def __init__(self, split: Split) -> None:
        data = split.data
        super().__init__(split, offset=data["start"], first_line=data["first_line"])
        self._path = from_key(data["path"])
        self._data: dict[str, Any] = dict(data)
        os.close(self._checked())

    def open(self) -> BinaryIO:
        """Open the planned range."""
        reader = RangeReader(self._checked(), self.offset, self._data["end"], self.uri)
        return cast("BinaryIO", reader)

    def head(self, size: int) -> bytes:
        """Read the first bytes of the file, also if the range begins later; at most what was planned."""
        fd = self._checked()
        try:
            return os.pread(fd, min(size, self._data["end"]), 0)
        finally:
            os.close(fd)

    def random_access(self) -> BinaryIO:
        """Open the whole file."""
        return io.FileIO(self._checked())

    def verify(self) -> None:
        """Check that the file is still the one that was planned."""
        os.close(self._checked())

    def _checked(self) -> int:
        """Open the file and compare its identity with the plan's.

        Raises:
            SplitChangedError: it is gone, or another one has its name.
            AccessError: it may not be read.
            RejectError: it is no regular file.
            RetryableError: the file system fails.
        """
        try:
            # Without O_NONBLOCK a pipe of that name would block the run.
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _as_ours(error, self.uri) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise RejectError(f"{self.uri} is not a regular file", code="not_a_file")
            if not self._is_planned(fd, status):
                raise SplitChangedError(
                    f"{self.uri} was replaced or rewritten after it was planned",
                    hint="writers should write to a temporary name and rename it when it is complete",
                )
        except OSError as error:
            os.close(fd)
            raise _as_ours(error, self.uri) from error
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _is_planned(self, fd: int, status: os.stat_result) -> bool:
        data = self._data
        if status.st_ino != data["inode"]:
            return False
        if (status.st_size, status.st_mtime_ns) == (data["size"], data["mtime_ns"]):
            return True
        if data["whole"] or status.st_size < data["end"]:
            return False
        return bool(data["head"] == fingerprint(fd, 0, data["end"]))


def _as_ours(error: OSError, uri: str) -> Exception:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SplitChangedError(
            f"{uri} has disappeared since it was planned", code="split_vanished"
        )
    if isinstance(error, PermissionError):
        return AccessError(f"permission denied: {uri}", hint="let this user read the file")
    return RetryableError(f"cannot read {uri}: {error.strerror}", code="file_io")
