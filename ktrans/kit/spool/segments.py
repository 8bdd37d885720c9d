"""Numbered segments of streams in a folder.

A segment's name has all its properties: `<number>-<stream>-<offset>-<line>.seg`, where
stream is the number of the stream's first segment, and offset and line say where in the stream it
begins. `<stream>.head` has the stream's first bytes, for the segments that do not begin there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from ktrans.api import AccessError
from ktrans.kit.files.durable import replace_file, sync_folder
from ktrans.kit.files.private_folder import private_folder

HEAD_BYTES = 64 << 10
"""How much of a stream's beginning is kept for its later segments."""
MESSAGES = 0
"""The number of a stream of messages that are not understood; each of its segments holds one."""
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)\.(seg|open)")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One part of a stream.

    Attributes:
        number: counts the segments of a spool, over all streams.
        stream: number of the stream's first segment.
        offset: where it begins in its stream, in bytes.
        line: number of its first line in its stream, from 1.
        size: in bytes.
    """

    number: int
    stream: int
    offset: int
    line: int
    size: int = 0

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return f"{self.number:08d}-{self.stream:08d}-{self.offset}-{self.line}"


class Spool:
    """A folder of segments; one process at a time writes to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, segment: Segment) -> Path:
        """Return the path of a finished segment."""
        return self.folder / f"{segment.stem}.seg"

    def head_path(self, stream: int) -> Path:
        """Return the path of the first bytes of a stream."""
        return self.folder / f"{stream:08d}.head"

    def segments(self, first: int = 0) -> list[Segment]:
        """List the finished segments from a number on, in their order."""
        return sorted(s for s, ending in self._found() if ending == "seg" and s.number >= first)

    def adopt(self) -> None:
        """Finish the segments that a killed process was writing: their bytes exist nowhere else.

        There are two if it died between a segment and the next one of its stream, which begins
        with what had been read ahead behind the first.
        """
        unfinished = self.unfinished()
        for segment, after in zip_longest(unfinished, unfinished[1:]):
            path = self.folder / f"{segment.stem}.open"
            if after is not None and after.stream == segment.stream:
                end = after.offset - segment.offset
                if after.size < segment.size - end:
                    (self.folder / f"{after.stem}.open").unlink()  # all of it is in this one
                else:
                    os.truncate(path, end)
            if not path.exists():
                continue
            if segment.size:
                self._finish(path, segment)
            else:
                path.unlink()

    def unfinished(self) -> list[Segment]:
        """List the segments that a killed process was writing, in their order."""
        return sorted(segment for segment, ending in self._found() if ending == "open")

    def finish_at(self, segment: Segment, size: int) -> None:
        """Finish a segment that a killed process was writing, with its first bytes alone.

        Args:
            segment: which.
            size: how many bytes of it count; with 0 it is removed.
        """
        path = self.folder / f"{segment.stem}.open"
        if size:
            os.truncate(path, size)
            self._finish(path, segment)
        else:
            path.unlink()

    def discard_unfinished(self) -> None:
        """Remove what a killed process was writing, if its bytes are delivered again."""
        for segment in self.unfinished():
            self.finish_at(segment, 0)

    def check(self) -> None:
        """Create the folder if need be.

        Raises:
            AccessError: it cannot be created or written.
        """
        try:
            private_folder(self.folder)
        except OSError as error:
            raise AccessError(
                f"cannot create the spool folder {self.folder}: {error.strerror}",
                hint="set `spool_dir` to a folder that this user can write",
            ) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise AccessError(
                f"permission denied: the spool folder {self.folder} cannot be written",
                hint="set `spool_dir` to a folder that this user can write",
            )

    def drop(self, segments: Iterable[Segment], *, keep: int | None = None) -> None:
        """Remove segments, and the heads of streams that have none left.

        Args:
            segments: which.
            keep: a stream that may continue, whose head stays in any case.
        """
        for segment in segments:
            self.path(segment).unlink(missing_ok=True)
        needed = {keep, *(segment.stream for segment in self.segments())}
        for path in self.folder.glob("*.head"):
            if int(path.stem) not in needed:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all segments and heads, and no other files."""
        for segment, ending in self._found():
            (self.folder / f"{segment.stem}.{ending}").unlink(missing_ok=True)
        for path in self.folder.glob("*.head"):
            path.unlink(missing_ok=True)

    def begin(self, segment: Segment) -> SegmentWriter:
        """Begin a segment."""
        return SegmentWriter(self, segment)

    def write_head(self, stream: int, data: bytes) -> None:
        """Write the first bytes of a stream, durably."""
        replace_file(self.head_path(stream), data)

    def _found(self) -> list[tuple[Segment, str]]:
        found = []
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match is None:
                    continue
                try:
                    size = path.stat().st_size
                except FileNotFoundError:
                    continue  # it was finished or removed meanwhile
                number, stream, offset, line = (int(text) for text in match.groups()[:4])
                found.append((Segment(number, stream, offset, line, size), match[5]))
        return found

    def _finish(self, path: Path, segment: Segment) -> None:
        done = self.path(segment)
        if path.exists() or not done.exists():  # else it has its name from a try before
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            path.replace(done)
        sync_folder(self.folder)


class SegmentWriter:
    """Writes one segment, unbuffered, so that the bytes survive if the process is killed.

    Attributes:
        size: of the segment so far, in bytes; what was read ahead is not counted.
        lines: how many line ends it has.
        at_line_end: whether it ends with one.
    """

    def __init__(self, spool: Spool, segment: Segment) -> None:
        self._spool = spool
        self._segment = segment
        self._path = spool.folder / f"{segment.stem}.open"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._end = 0
        self.size = 0
        self.lines = 0
        self.at_line_end = True

    @property
    def segment(self) -> Segment:
        """The segment; its size is not known yet."""
        return self._segment

    def ahead(self, data: bytes) -> None:
        """Write bytes behind the segment's end that belong to it or to the next one.

        The next bytes of `write` must begin with them.
        """
        view = memoryview(data)[self._end - self.size :]
        while view:
            written = os.write(self._file, view)
            self._end += written
            view = view[written:]

    def write(self, data: bytes) -> None:
        """Append bytes."""
        if not data:
            return
        self.ahead(data)
        self.size += len(data)
        self.lines += data.count(b"\n")
        self.at_line_end = data.endswith(b"\n")

    def sync(self) -> None:
        """Make what was written so far durable; the segment goes on."""
        os.fsync(self._file)

    def cut(self, size: int) -> None:
        """Take back what was written after the first `size` bytes, which end with a line end."""
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        self.size = self._end = size

    def keep_head(self, size: int) -> None:
        """Keep the first bytes of the segment as the head of the stream."""
        with self._path.open("rb") as file:
            self._spool.write_head(self._segment.stream, file.read(min(size, self.size)))

    def discard(self) -> None:
        """Remove the file."""
        self._close()
        self._path.unlink()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        # Not finished: the next run adopts it, as that of a killed process.
        self._close()

    def finish(self) -> Segment:
        """Make the segment durable and visible, without the bytes that were read ahead.

        It may be called again if it fails; what is written meanwhile may get lost.
        """
        if self._file >= 0:
            os.ftruncate(self._file, self.size)
        self._spool._finish(self._path, self._segment)  # noqa: SLF001 - the writer is the spool's
        self._close()
        done = self._segment
        return Segment(done.number, done.stream, done.offset, done.line, self.size)
