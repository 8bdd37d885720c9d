"""What files are to a writer: room that may end, names that are no files, a stdout that takes no more."""

from __future__ import annotations

import errno
import os
import sys
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


def drop_stdout() -> None:
    """Let what is still to be written to stdout go nowhere: Python would write its buffer at exit.

    Raises:
        OSError: stdout is no file.
    """
    stdout = sys.stdout.fileno()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != stdout:  # it is if stdout was closed
        os.dup2(nowhere, stdout)
        os.close(nowhere)
