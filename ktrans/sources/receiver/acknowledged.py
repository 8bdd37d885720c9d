"""A segment of the spool that grows by groups of requests, each durable together with their ids.

Requests are answered after each group, long before the segment is full. Beside its file is a journal: one
line a group, with the size of the segment after it, the ids of its requests, and a checksum. A killed
process leaves both. What the journal has is what was acknowledged: the segment is cut to that size, and
the ids are kept with it.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ktrans.kit.files.durable import sync_folder
from ktrans.kit.spool.seen_messages import SeenMessages
from ktrans.kit.spool.segments import Segment, Spool

_ENDING = ".journal"


class AcknowledgedSegment:
    """A segment that is being written.

    Args:
        spool: the spool.
        folder: for the journal.
        number: of the segment.

    Attributes:
        ids: of the requests that it holds.
        size: in bytes.
    """

    def __init__(self, spool: Spool, folder: Path, number: int) -> None:
        self.ids: set[str] = set()
        self._journal = -1
        self._path = folder / f"{number:08d}{_ENDING}"
        self._writer = spool.begin(Segment(number, number, 0, 1))
        self._journal = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._journal_size = 0
        self._finishing = False
        sync_folder(spool.folder)
        sync_folder(folder)

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return self._writer.size

    @property
    def number(self) -> int:
        """Its number in the spool."""
        return self._writer.segment.number

    def add(self, pieces: Iterable[bytes], ids: Sequence[str]) -> None:
        """Append texts that end with a line end, durably and together with their ids.

        Raises:
            OSError: they cannot be written; the segment is as before.
        """
        if self._finishing:
            raise OSError(errno.EAGAIN, "the segment could not be finished yet")
        before = self.size
        try:
            self._writer.write(b"".join(pieces))
            self._writer.sync()
            line = _entry(self.size, ids)
            _write_all(self._journal, line)
            os.fsync(self._journal)
        except OSError:
            self._writer.cut(before)
            os.ftruncate(self._journal, self._journal_size)
            os.lseek(self._journal, self._journal_size, os.SEEK_SET)
            raise
        self._journal_size += len(line)
        self.ids.update(ids)

    def seal(self, seen: SeenMessages) -> Segment:
        """Finish the segment, and remember its ids; may be called again if it fails."""
        if self.ids:
            seen.write(self.number, sorted(self.ids))
        self._finishing = True  # it may be visible from here on, and is read as it is
        done = self._writer.finish()
        self._close()
        self._path.unlink(missing_ok=True)
        return done

    def _close(self) -> None:
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    def __del__(self) -> None:
        self._close()


def finish_acknowledged(spool: Spool, folder: Path, seen: SeenMessages) -> None:
    """Finish the segments that a killed process was writing, with what it had acknowledged."""
    for segment in spool.unfinished():
        path = folder / f"{segment.number:08d}{_ENDING}"
        size, ids = 0, list[str]()
        for size, named in _entries(path):  # noqa: B007 - the last size counts
            ids += named
        if ids:
            seen.write(segment.number, ids)
        spool.finish_at(segment, min(size, segment.size))
    for path in folder.glob(f"*{_ENDING}"):
        path.unlink()


def _write_all(file: int, data: bytes) -> None:
    """Write all bytes; a disk that is nearly full takes a part first, and then raises an error."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _entry(size: int, ids: Sequence[str]) -> bytes:
    text = " ".join([str(size), *ids])
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _entries(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Return the sizes and ids of a journal, up to its first line that is torn."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    for line in lines:
        checksum, _, text = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            return
        size, *ids = text.decode("ascii").split()
        yield int(size), ids
