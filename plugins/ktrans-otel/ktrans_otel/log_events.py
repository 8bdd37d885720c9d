"""The log events of ktrans-otel."""

from __future__ import annotations

from ktrans.api import LogEvent

TRACES_NOT_SENT = LogEvent(
    "traces_not_sent",
    "warning",
    "The OpenTelemetry collector did not accept all spans; the run is not affected.",
)
