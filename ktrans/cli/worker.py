"""Prepares a process that does tasks for a run (`RunOptions.prepare_worker`)."""

from __future__ import annotations

import gc

from ktrans.cli.run_limits import allow_open_files
from ktrans.cli.run_memory import choose_allocator
from ktrans.engine.observer import Observer
from ktrans.observe.logs import LogFormat, set_up
from ktrans.observe.observers import LogObserver

PREPARE = "ktrans.cli.worker:prepare"


def prepare(verbosity: int, log_format: LogFormat) -> Observer:
    """Log as the run does, choose the allocator, raise limits, and return what outages are reported to."""
    allow_open_files()
    choose_allocator()
    gc.freeze()  # what is imported by now stays
    set_up(verbosity, log_format)
    return LogObserver()
