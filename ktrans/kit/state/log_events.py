"""The log events of state stores."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent

LEASE_NOT_RENEWED = LogEvent(
    "lease_not_renewed",
    "warning",
    "The lease of this run could not be renewed or released in the state store; it is tried again.",
)
LEASE_LOST = LogEvent(
    "lease_lost", "warning", "Another run has taken over the pipeline; this run stops."
)
CHECKPOINT_FAILED = LogEvent(
    "checkpoint_failed",
    "warning",
    "A state store could not compact its log; nothing is lost, and it is tried again later.",
)
