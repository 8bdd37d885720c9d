"""The log events that several plugins share."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

TABLE_LOADED = LogEvent("table_loaded", "info", "An enricher has loaded its table or database.")
ENTRIES_UNREADABLE = LogEvent(
    "entries_unreadable",
    "warning",
    "A published list has entries that cannot be read; the others are used.",
    LogField("entries", "integer", "The number of these entries."),
)
MESSAGES_NOT_HELD = LogEvent(
    "messages_not_held",
    "warning",
    "A queue did not extend the time that messages stay hidden; they are delivered again, and "
    "recognized then.",
)
MESSAGES_NOT_DELETED = LogEvent(
    "messages_not_deleted",
    "info",
    "A queue did not delete some messages; they are delivered again, and recognized then.",
)
MESSAGES_KNOWN = LogEvent(
    "messages_known",
    "info",
    "A queue delivered messages again; they were dropped.",
    LogField("messages", "integer", "The number of messages."),
)
EVENTS_SKIPPED = LogEvent(
    "events_skipped",
    "info",
    "A queue held events that announce nothing to read; they were skipped, by name.",
    LogField("messages", "integer", "The number of events."),
)
LISTENING = LogEvent(
    "listening",
    "info",
    "A source listens for requests.",
    LogField("port", "integer", "The port."),
)
REQUESTS_REFUSED = LogEvent(
    "requests_refused",
    "warning",
    "Requests were refused, by status; at most one line a minute.",
    LogField("requests", "integer", "The number of requests."),
)
REQUEST_FAILED = LogEvent("request_failed", "error", "A request could not be answered: a defect.")
CERTIFICATE_NOT_LOADED = LogEvent(
    "certificate_not_loaded",
    "warning",
    "A changed certificate cannot be used; the old one stays in use.",
)
SPOOL_FAILED = LogEvent("spool_failed", "error", "The spool cannot be written any more.")
NATIVE_FAILED = LogEvent(
    "native_failed",
    "error",
    "Native code failed, and Python did the work instead: a defect; logged once.",
)
