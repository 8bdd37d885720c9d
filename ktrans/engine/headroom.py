"""Checks that there is memory left, in processes whose address space is limited (`ulimit -v`).

Arrow's parsers abort the process where an allocation fails, so it must not come to that.
"""

from __future__ import annotations

import mmap
import resource

_TIMES = 10
"""What processing a block takes at most, in sizes of the block."""
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA)


class Headroom:
    """The memory that all workers need for a block each.

    Without a limit of this process nothing is checked: the system's own limits end it at once.
    """

    def __init__(self, workers: int, block_size: int) -> None:
        limited = any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in _LIMITS)
        self._size = workers * _TIMES * block_size if limited else 0

    def check(self) -> None:
        """Raise OSError (ENOMEM) if there is not so much; no memory is used."""
        if self._size:
            mmap.mmap(-1, self._size).close()
