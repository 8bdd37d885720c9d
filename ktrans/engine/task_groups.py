"""Plans the tasks of an epoch: groups its splits, and identifies the source that they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ktrans.api import Split
from ktrans.config.model import Pipeline


def group_splits(
    splits: Sequence[Split], task_size: int, workers: int, *, serial: bool
) -> list[list[Split]]:
    """Group splits, in order, into tasks of about equal bytes.

    There are as many tasks as it takes to keep each near `task_size`, but at least one for each
    worker if there are enough splits. An unknown size counts as `task_size`.

    A `serial` epoch is one task.
    """
    if not splits:
        return []
    if serial:
        return [list(splits)]
    sizes = [task_size if split.size is None else max(split.size, 1) for split in splits]
    total = sum(sizes)
    count = min(len(splits), max(round(total / task_size), min(workers, len(splits)), 1))
    share = total / count
    tasks: list[list[Split]] = [[]]
    taken = 0
    for split, size in zip(splits, sizes, strict=True):
        due = taken + size / 2 > share * len(tasks)
        if tasks[-1] and due and len(tasks) < count:
            tasks.append([])
        tasks[-1].append(split)
        taken += size
    return tasks


def source_fingerprint(pipeline: Pipeline) -> str:
    """Return a short text that changes when the type or the options of the source do."""
    options = pipeline.source.model_dump_json().encode()
    return f"{pipeline.source.type}:{hashlib.blake2b(options, digest_size=8).hexdigest()}"
