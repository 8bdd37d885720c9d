"""The log events of decoders."""

from __future__ import annotations

from ktrans.api.log_events import LogEvent, LogField

DECODER_UNUSABLE = LogEvent(
    "decoder_unusable",
    "warning",
    "`auto` skips a decoder that cannot be loaded.",
    LogField("decoder", "string", "The type of the decoder."),
)
FIELD_UNKNOWN = LogEvent(
    "field_unknown",
    "warning",
    "A log has a field that the decoder does not know; it is kept in `attrs`. Once per field.",
    LogField("field", "string", "The field's name in the log."),
)
COLUMN_MISSING = LogEvent(
    "column_missing",
    "warning",
    "An object lacks a column that `flow_csv` maps. Once per column.",
    LogField("uri", "string", "The URI of the object."),
    LogField("column", "string", "The name of the column."),
)
