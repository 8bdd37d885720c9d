"""What files are to a writer: room that may end, and names that are no files."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk or the quota is full, or a file may not grow any further."""


def is_stream(path: Path) -> bool:
    """Return whether a name stands for a device, a pipe or a stream of a process, such as /dev/stdout.

    It is written as it is. A file that is renamed to it would take its place.
    """
    if path.exists() and not path.is_file():
        return True
    folder = path.parent.resolve()
    return path.is_symlink() and (folder.as_posix() == "/dev" or "proc" in folder.parts[1:2])
