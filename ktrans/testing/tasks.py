"""Writes a task to a sink as the engine does, for tests of sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ktrans.api import EpochId, Receipt, Refused, Sink, TaskId

TASK = TaskId(EpochId("flows", 1), 0)


def write_task(
    sink: Sink[Any], *batches: pa.RecordBatch, task: TaskId = TASK
) -> tuple[Receipt, Sequence[Refused]]:
    """Write a task to its end, or abort it; return its receipt and the rows that were refused."""
    writer = sink.writer(task)
    try:
        for batch in batches:
            writer.write(writer.encode(batch))
        return writer.finish(), writer.refused()
    except BaseException:
        writer.abort()
        raise
