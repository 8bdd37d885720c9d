"""The log events of ktrans-ray."""

from __future__ import annotations

from ktrans.api import LogEvent, LogField

RAY_NODES_MISSING = LogEvent(
    "ray_nodes_missing",
    "warning",
    "No machine of the Ray cluster has what a task asks for; tasks wait until one joins.",
    LogField("needs", "string", "The resources that a task asks for."),
)
