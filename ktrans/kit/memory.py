"""Recognises errors that mean that there is no memory left, or no room for another thread."""

from __future__ import annotations

import errno
from concurrent.futures import BrokenExecutor

CODE = "out_of_memory"
HINT = (
    "give the process more memory, or lower engine.workers, limits.block_size, engine.task_size, and"
    " row_group_size of Parquet sinks; nothing was lost, the next run resumes"
)
_MAX_CAUSES = 20
_TEXTS = ("can't start new thread", "failed to map segment", "annot allocate memory")
"""What Python and the dynamic linker say."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that it was raised from, is a lack of memory or of threads."""
    seen: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if seen is None:
            break
        if isinstance(seen, MemoryError | BrokenExecutor) or getattr(seen, "code", None) == CODE:
            return True
        if isinstance(seen, OSError) and seen.errno == errno.ENOMEM:
            return True
        if isinstance(seen, RuntimeError | ImportError) and any(t in str(seen) for t in _TEXTS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
