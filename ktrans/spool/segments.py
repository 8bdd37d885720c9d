"""Keeps a stream that cannot be read twice as numbered segments in a folder.

A segment's name says all there is to know of it: `<number>-<stream>-<offset>-<line>.seg`, where
stream is the number of the stream's first segment, and offset and line say where in the stream it
begins. `<stream>.head` has the stream's first bytes, for the segments that do not begin there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ktrans.api import AccessError

HEAD_BYTES = 64 << 10
"""How much of a stream's beginning is kept for its later segments."""
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)\.(seg|open)")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One piece of a stream.

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
        """Where a finished segment is."""
        return self.folder / f"{segment.stem}.seg"

    def head_path(self, stream: int) -> Path:
        """Where the first bytes of a stream are."""
        return self.folder / f"{stream:08d}.head"

    def segments(self, first: int = 0) -> list[Segment]:
        """List the finished segments from a number on, in their order."""
        return sorted(s for s, ending in self._found() if ending == "seg" and s.number >= first)

    def adopt(self) -> None:
        """Finish the segment that a killed process was writing: its bytes exist nowhere else."""
        for segment, ending in self._found():
            if ending == "open":
                path = self.folder / f"{segment.stem}.open"
                if segment.size:
                    self._finish(path, segment)
                else:
                    path.unlink()

    def discard_unfinished(self) -> None:
        """Remove what a killed process was writing, when its bytes come again from elsewhere."""
        for segment, ending in self._found():
            if ending == "open":
                (self.folder / f"{segment.stem}.open").unlink()

    def check(self) -> None:
        """Make the folder if need be.

        Raises:
            AccessError: it cannot be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AccessError(
                f"cannot make the spool folder {self.folder}: {error.strerror}",
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
            segments: what goes.
            keep: a stream that may still go on, whose head stays in any case.
        """
        for segment in segments:
            self.path(segment).unlink(missing_ok=True)
        needed = {keep, *(segment.stream for segment in self.segments())}
        for path in self.folder.glob("*.head"):
            if int(path.stem) not in needed:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all segments and heads, and nothing else that may lie there."""
        for segment, ending in self._found():
            (self.folder / f"{segment.stem}.{ending}").unlink(missing_ok=True)
        for path in self.folder.glob("*.head"):
            path.unlink(missing_ok=True)

    def begin(self, segment: Segment) -> SegmentWriter:
        """Start a segment."""
        return SegmentWriter(self, segment)

    def write_head(self, stream: int, data: bytes) -> None:
        """Keep the first bytes of a stream, durably."""
        path = self.head_path(stream)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def _found(self) -> list[tuple[Segment, str]]:
        found = []
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match:
                    number, stream, offset, line = (int(text) for text in match.groups()[:4])
                    segment = Segment(number, stream, offset, line, path.stat().st_size)
                    found.append((segment, match[5]))
        return found

    def _finish(self, path: Path, segment: Segment) -> None:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        path.replace(self.path(segment))
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class SegmentWriter:
    """Writes one segment; unbuffered, so that a killed process leaves behind what it has read."""

    def __init__(self, spool: Spool, segment: Segment) -> None:
        self._spool = spool
        self._segment = segment
        self._path = spool.folder / f"{segment.stem}.open"
        self._file = self._path.open("wb", buffering=0)
        self.size = 0
        self.lines = 0
        self.at_line_end = True

    def write(self, data: bytes) -> None:
        """Append bytes."""
        if not data:
            return
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(data)
        self.lines += data.count(b"\n")
        self.at_line_end = data.endswith(b"\n")

    def keep_head(self, size: int) -> None:
        """Keep the first bytes written as the head of the stream."""
        with self._path.open("rb") as file:
            self._spool.write_head(self._segment.stream, file.read(size))

    def discard(self) -> None:
        """Leave nothing behind: the stream ended at the segment's start."""
        self._file.close()
        self._path.unlink()

    def finish(self) -> Segment:
        """Make the segment durable and visible."""
        self._file.close()
        self._spool._finish(self._path, self._segment)  # noqa: SLF001 - the writer is the spool's
        done = self._segment
        return Segment(done.number, done.stream, done.offset, done.line, self.size)
