"""What is remembered of a file between runs, and how a change of it is classified.

Size, time and inode are compared first, fingerprints of both ends only if those differ. Only a few
kilobytes are read, except to count the lines of a grown file, each byte once.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Literal

import msgspec

from ktrans.sources.files.listing import Found

SAMPLE = 4096
"""Bytes at each end of a file that its fingerprint covers."""

_PIECE = 1 << 20

StateUpdate = Literal["new", "same", "grown", "replaced"]


class Known(msgspec.Struct, frozen=True):
    """What is remembered of a file: the part that earlier epochs have read.

    Attributes:
        size: bytes read so far, from the start.
        inode: number of the file at that time.
        mtime_ns: time of the last change at that time.
        head: fingerprint of the first SAMPLE bytes of that part.
        tail: fingerprint of its last SAMPLE bytes.
        whole: whether it is read as a whole (compressed, Parquet).
        counted: the offset up to which lines were counted.
        lines: how many line ends there are before `counted`.
        rejected: whether the last part read, from `counted` on, was rejected as a whole.
    """

    size: int
    inode: int
    mtime_ns: int
    head: str
    tail: str
    whole: bool
    counted: int = 0
    lines: int = 0
    rejected: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the form that the state store keeps."""
        return msgspec.structs.asdict(self)


def fingerprint(fd: int, start: int, end: int) -> str:
    """Hash at most SAMPLE bytes of a range of an open file."""
    return hashlib.blake2b(
        os.pread(fd, min(SAMPLE, end - start), start), digest_size=12
    ).hexdigest()


def fingerprints(fd: int, size: int) -> tuple[str, str]:
    """Hash both ends of the first `size` bytes."""
    return fingerprint(fd, 0, size), fingerprint(fd, max(0, size - SAMPLE), size)


def quick(found: Found, known: Known | None) -> StateUpdate | None:
    """Classify a file by the listing alone; None if its bytes must be compared."""
    if known is None:
        return "new"
    if found.size < known.size:
        return "replaced"
    if found.size > known.size:
        return None
    if found.mtime_ns == known.mtime_ns:
        return "same"
    return None if found.inode == known.inode else "replaced"


def compare(fd: int, found: Found, known: Known, *, follow: bool) -> StateUpdate:
    """Classify a file by its bytes, where `quick` could not.

    A file that got longer counts as grown when the ends of the part already read are as they were,
    whatever its inode: `rsync` writes a growing log to a new file each time.
    """
    if fingerprints(fd, known.size) != (known.head, known.tail):
        return "replaced"
    if found.size == known.size:
        return "same"
    return "grown" if follow and not known.whole else "replaced"


def count_lines(fd: int, start: int, end: int) -> int:
    """Count the line ends in a range of an open file."""
    total = 0
    while start < end:
        piece = os.pread(fd, min(_PIECE, end - start), start)
        if not piece:
            break
        total += piece.count(b"\n")
        start += len(piece)
    return total


def last_line_end(fd: int, start: int, end: int) -> int:
    """Find the offset behind the last line end in a range of an open file; `start` if none."""
    while end > start:
        begin = max(start, end - (1 << 16))
        at = os.pread(fd, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return start
