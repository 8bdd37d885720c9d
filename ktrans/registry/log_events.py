"""The log events of loading and calling plugins."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

HOOK_FAILED = LogEvent(
    "hook_failed",
    "warning",
    "A hook of a plugin failed; the run continues.",
    LogField("hook", "string", "The name of the hook."),
    LogField("plugin", "string", "The distribution that has the hook."),
)
