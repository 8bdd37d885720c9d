"""The data of an event, from which the thread that sends it makes the event."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class EventData:
    """The data of an event.

    Attributes:
        state: START, RUNNING, COMPLETE, ABORT or FAIL.
        at: its time.
        run: as in `ktrans.api.hooks`.
        namespace: the namespace of the job.
        parent, root: namespace, name and run id of the job that started this one, and of the root
            job.
        error: the message of a failed run.
        input: rows, bytes and files read so far; empty at the start.
        outputs: rows, bytes and files written so far, by sink.
    """

    state: str
    at: dt.datetime
    run: Mapping[str, Any]
    namespace: str
    parent: tuple[str, str, str] | None = None
    root: tuple[str, str, str] | None = None
    error: str | None = None
    input: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
