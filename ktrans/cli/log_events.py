"""The log events of `ktrans run` outside of a single run."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

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
