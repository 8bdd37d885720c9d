"""The log events of ktrans-kafka."""

from __future__ import annotations

from ktrans.api import LogEvent, LogField

POSITION_NOT_REPORTED = LogEvent(
    "position_not_reported",
    "warning",
    "The offsets of a consumer group could not be committed to Kafka; ktrans keeps its own.",
    LogField("group", "string", "The consumer group."),
)
