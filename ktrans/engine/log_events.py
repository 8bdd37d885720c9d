"""The log events of the engine."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

RUN_FAILED = LogEvent("run_failed", "debug", "A run failed; the line has the traceback.")
CLEAN_UP_FAILED = LogEvent(
    "clean_up_failed",
    "error",
    "A sink could not remove the staged output of a failed epoch; the next attempt tries again.",
    LogField("sink", "string", "The id of the sink."),
)
OBSERVER_FAILED = LogEvent(
    "observer_failed",
    "error",
    "The log, the progress line or the status page failed; the run continues.",
    LogField("observer", "string", "The observer that failed."),
    LogField("call", "string", "The call that failed."),
)
BLOCK_SLOW = LogEvent(
    "block_slow",
    "warning",
    "A worker processes one block for minutes: it hangs, or the block is very costly.",
    LogField("uri", "string", "The object."),
    LogField("seconds", "number", "How long it has taken so far."),
)
