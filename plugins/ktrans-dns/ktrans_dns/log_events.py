"""The log events of this plugin."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

DNS_SILENT = LogEvent(
    "dns_silent",
    "warning",
    "No DNS server answers; rows no longer wait for names, which stay null.",
)
DNS_ANSWERS = LogEvent("dns_answers", "info", "A DNS server answers again.")
DNS_CACHE_UNUSABLE = LogEvent(
    "dns_cache_unusable",
    "warning",
    "The cache of names on disk cannot be used; names are kept in memory.",
)
DNS_NAMES = LogEvent(
    "dns_names",
    "info",
    "How many names were asked for in DNS during the run.",
    LogField("asked", "integer", "Addresses that were asked for."),
    LogField("named", "integer", "Answers with a name."),
    LogField("unnamed", "integer", "Answers that there is no name."),
    LogField("failed", "integer", "Failures of servers, or no answer."),
    LogField("late", "integer", "How often a batch went on without an answer."),
)
