"""The log events of runs, and of `ktrans run` outside of a single run."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

EPOCH = LogField("epoch", "integer", "The number of the epoch within the pipeline.")
ROWS = LogField("rows", "integer", "The number of decoded rows.")
SECONDS = LogField("seconds", "number", "The duration in seconds.")

HTTP_FAILED = LogEvent(
    "http_failed", "error", "The server of --http could not answer a request; it goes on."
)
RUN_STARTED = LogEvent("run_started", "info", "A run holds its lock and starts planning.")
EPOCH_PLANNED = LogEvent(
    "epoch_planned",
    "info",
    "An epoch was recorded in the state store; reading starts.",
    EPOCH,
    LogField("tasks", "integer", "The number of tasks in the epoch."),
    LogField("splits", "integer", "The number of objects or ranges to read."),
)
EPOCH_COMMITTED = LogEvent(
    "epoch_committed", "info", "An epoch was published and recorded.", EPOCH, ROWS, SECONDS
)
TASK_FINISHED = LogEvent(
    "task_finished",
    "debug",
    "A task of an epoch succeeded or failed.",
    EPOCH,
    LogField("task", "integer", "The number of the task within its epoch, from 0."),
    ROWS,
    LogField("attempts", "integer", "The number of attempts that it took."),
    SECONDS,
)
_WHAT = LogField("what", "string", "The component: `source`, or the id of a sink.")
_ATTEMPTS = LogField("attempts", "integer", "The failed attempts since the last line.")
OUTAGE = LogEvent(
    "outage",
    "warning",
    "The system behind a component fails; logged at first and at growing intervals.",
    _WHAT,
    SECONDS,
    _ATTEMPTS,
    LogField("code", "string", "The error code; see `ktrans explain`."),
)
OUTAGE_OVER = LogEvent(
    "outage_over",
    "warning",
    "The system behind a component works again.",
    _WHAT,
    SECONDS,
    _ATTEMPTS,
)
RETRYING = LogEvent(
    "retrying",
    "warning",
    "A temporary failure; the operation is tried again after a wait.",
    LogField("what", "string", "What is retried: a task, an object, or the listing."),
    LogField("attempt", "integer", "The number of the attempt that failed, from 1."),
    LogField("wait_secs", "number", "The time until the next attempt, in seconds."),
    LogField("code", "string", "The error code; see `ktrans explain`."),
)
EXPECTATION_BROKEN = LogEvent(
    "expectation_broken",
    "error",
    "A rule of `expect` is broken; once in a run, with --follow once in a window.",
    LogField("rule", "string", "The name of the rule."),
    LogField("found", "integer", "How many rows it has found."),
    LogField("least", "integer", "The smallest number that is expected."),
    LogField("most", "integer", "The largest number that is expected; null if there is no limit."),
)
NOTE = LogEvent("note", "info", "Information for operators, logged once; also in the receipt.")
CAUGHT_UP = LogEvent("caught_up", "debug", "The source has nothing new.")
RUN_FINISHED = LogEvent(
    "run_finished",
    "info",
    "A run succeeded or failed.",
    LogField("outcome", "string", "One of done, nothing_to_do, stopped, skipped, failed."),
    LogField("exit_code", "integer", "The exit code of the process."),
    ROWS,
    SECONDS,
)
LOG = LogEvent("log", "any", "A line without an event name, such as those of libraries.")
SERVING = LogEvent(
    "serving", "info", "`--http` listens.", LogField("url", "string", "The URL of the status page.")
)
CONFIG_RELOADED = LogEvent(
    "config_reloaded",
    "info",
    "A new configuration was applied; the lists name the pipelines.",
    LogField("generation", "integer", "The number of configurations applied so far, from 1."),
    LogField("new", "array", "Pipelines that were started."),
    LogField("changed", "array", "Pipelines that continue with other options."),
    LogField("removed", "array", "Pipelines that were ended."),
    LogField("unchanged", "array", "Pipelines that continue as they are."),
)
RELOAD_FAILED = LogEvent(
    "reload_failed",
    "error",
    "A new configuration is invalid; the previous one stays in use.",
    LogField("errors", "array", "The errors, one text each."),
)
