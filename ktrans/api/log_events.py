"""The type of a named log event, and of its fields.

Programs rely on the names of events, so these stay as they are; texts may change. Declare the events
of a plugin in a module of its own, and name that module in the hook `ktrans_log_events`:

    TABLE_STALE = LogEvent(
        "acme_table_stale", "warning", "A table is older than a day.", LogField("table", "string", "Its name.")
    )

    context.log.warning("%s is stale", name, extra={"event": TABLE_STALE, "table": name})
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

Level = Literal["debug", "info", "warning", "error", "any"]


class LogField(NamedTuple):
    """A field of a log line, besides those that every line has.

    Attributes:
        name: the field's name, in lower case with underscores.
        type: its JSON type, such as "integer" or "string".
        about: what it means, as a sentence.
    """

    name: str
    type: str
    about: str


class LogEvent(str):
    """A log event: the name is the text itself.

    Attributes:
        level: the level at which it is logged.
        about: when it is logged, as a sentence.
        fields: the fields that its lines have besides those of all lines.
    """

    __slots__ = ("about", "fields", "level")

    level: Level
    about: str
    fields: tuple[LogField, ...]

    def __new__(cls, name: str, level: Level, about: str, *fields: LogField) -> Self:
        """Make the event; its name is the value."""
        event = super().__new__(cls, name)
        event.level, event.about, event.fields = level, about, fields
        return event
