"""The names of what ktrans and its own plugins log, each with what it means.

Programs go by these names; they stay as they are, texts may change. A plugin of yours logs by names
of its own: `context.log.warning("text", extra={"event": "acme_table_stale", "table": name})`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class LogEvent(StrEnum):
    """An event in the log.

    Attributes:
        level: how it is logged.
        fields: what its lines have besides the fields of all lines.
        about: when it is logged.
    """

    level: str
    fields: tuple[str, ...]
    about: str

    def __new__(cls, name: str, level: str, about: str, *fields: str) -> Self:
        """Keep the name as the value, and the rest beside it."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.level, member.about, member.fields = level, about, fields
        member.__doc__ = about
        return member

    # -- a run --------------------------------------------------------------------------------

    RUN_STARTED = "run_started", "info", "A run holds its lock and is about to plan."
    EPOCH_PLANNED = (
        "epoch_planned",
        "info",
        "An epoch was written to the state store and is about to be read.",
        "epoch",
        "tasks",
        "splits",
    )
    EPOCH_COMMITTED = (
        "epoch_committed",
        "info",
        "An epoch was published and recorded.",
        "epoch",
        "rows",
        "seconds",
    )
    TASK_FINISHED = (
        "task_finished",
        "debug",
        "A task of an epoch came to its end, well or not.",
        "epoch",
        "task",
        "rows",
        "attempts",
        "seconds",
    )
    RETRYING = (
        "retrying",
        "warning",
        "Something failed in a way that may pass, and is tried again after a wait.",
        "what",
        "attempt",
        "wait_secs",
        "code",
    )
    NOTE = "note", "info", "Something that a person should know, once; also in the receipt."
    CAUGHT_UP = "caught_up", "debug", "The source has nothing new."
    RUN_FAILED = "run_failed", "debug", "The error that ended a run, with its traceback."
    RUN_FINISHED = (
        "run_finished",
        "info",
        "A run is over, well or not.",
        "outcome",
        "exit_code",
        "rows",
        "seconds",
    )
    CLEAN_UP_FAILED = (
        "clean_up_failed",
        "error",
        "A sink could not remove what a failed epoch had staged; the next attempt tries again.",
        "sink",
    )
    LEASE_NOT_RENEWED = (
        "lease_not_renewed",
        "warning",
        "The state store could not be told that this run lives, or has ended; it is tried again.",
    )
    LEASE_LOST = "lease_lost", "warning", "Another run has taken over the pipeline; this one stops."
    CHECKPOINT_FAILED = (
        "checkpoint_failed",
        "warning",
        "A state store could not shorten its log; nothing is lost, and it is tried again later.",
    )
    SERVING = "serving", "info", "`--http` listens.", "url"
    CONFIG_RELOADED = (
        "config_reloaded",
        "info",
        "A new configuration was taken; the lists name the pipelines.",
        "generation",
        "new",
        "changed",
        "removed",
        "unchanged",
    )
    RELOAD_FAILED = (
        "reload_failed",
        "error",
        "A new configuration is wrong, and the old one goes on.",
        "errors",
    )

    # -- plugins ------------------------------------------------------------------------------

    OBSERVER_FAILED = (
        "observer_failed",
        "error",
        "The log, the live line or the status page failed; the run goes on.",
        "observer",
        "call",
    )
    HOOK_FAILED = (
        "hook_failed",
        "warning",
        "A hook of a plugin failed; the run goes on.",
        "hook",
        "plugin",
    )
    DECODER_UNUSABLE = (
        "decoder_unusable",
        "warning",
        "`auto` leaves out a decoder that does not load.",
        "decoder",
    )

    # -- components ---------------------------------------------------------------------------

    FIELD_UNKNOWN = (
        "field_unknown",
        "warning",
        "A log has a field that the decoder does not know; it is kept in `attrs`. Once a field.",
        "field",
    )
    COLUMN_MISSING = (
        "column_missing",
        "warning",
        "An object has no column for one that `flow_csv` maps. Once a column.",
        "uri",
        "column",
    )
    TABLE_LOADED = (
        "table_loaded",
        "info",
        "An enricher has read its table or database.",
    )
    POSITION_NOT_REPORTED = (
        "position_not_reported",
        "warning",
        "A consumer group could not be told how far the reading got; ktrans keeps its own account.",
        "group",
    )
    MESSAGES_NOT_HELD = (
        "messages_not_held",
        "warning",
        "A queue did not keep messages back for longer; they come again, and are known then.",
    )
    MESSAGES_NOT_DELETED = (
        "messages_not_deleted",
        "info",
        "A queue did not delete some messages; they come again, and are known then.",
    )
    MESSAGES_KNOWN = (
        "messages_known",
        "info",
        "A queue delivered messages again that had come before; they were dropped.",
        "messages",
    )
    TRACES_NOT_SENT = (
        "traces_not_sent",
        "warning",
        "The OpenTelemetry collector did not take all spans; the run is not affected.",
    )
    LINEAGE_NOT_SENT = (
        "lineage_not_sent",
        "warning",
        "The OpenLineage receiver did not take an event; the run is not affected.",
    )

    # -- everybody else -----------------------------------------------------------------------

    LOG = "log", "any", "A line without a name of its own: from a library, or from another plugin."
