"""The JSON Schema of a log line (`ktrans schema log`), and the table of events for the docs.

`python -m ktrans.observe.log_schema` prints the table with the events of our own plugins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ktrans.api.log_events import LogEvent


def log_schema(events: Iterable[LogEvent]) -> dict[str, Any]:
    """Return the JSON Schema of a log line, with the fields of these events."""
    common = {
        "timestamp": _text("When it was logged: UTC, RFC 3339.", format="date-time"),
        "level": _text("The severity.", enum=["debug", "info", "warning", "error", "critical"]),
        "event": _text("What happened: a name from the table in docs/logs.md, or one of a plugin."),
        "message": _text("A text for people. Its wording may change."),
        "logger": _text("The name of the logger: ktrans.*, or that of a library."),
        "pipeline": _text("The pipeline's name; absent outside of runs."),
        "run_id": _text("The id of the run, as in the receipt; absent outside of runs."),
        "component": _text("source, decoder, enrichers[0] type, or the id of a sink."),
        "exception": _text("A traceback, without the values of variables."),
        "stack": _text("The call stack, if the call asked for it."),
    }
    fields = {field.name: field for event in events for field in event.fields}
    some = {f.name: {"type": f.type, "description": f.about} for f in fields.values()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of the ktrans log",
        "type": "object",
        "required": ["timestamp", "level", "event", "message", "logger"],
        "properties": {**common, **some},
        "additionalProperties": True,
    }


def events_table(events: Iterable[LogEvent]) -> str:
    """Return the table of events in Markdown."""
    lines = ["| event | level | when | fields |", "|---|---|---|---|"]
    lines += [
        f"| `{event}` | {event.level} | {event.about} | "
        f"{', '.join(f'`{field.name}`' for field in event.fields)} |"
        for event in events
    ]
    return "\n".join(lines) + "\n"


def _text(about: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": about, **more}


if __name__ == "__main__":
    from ktrans.registry.catalogue import first_party
    from ktrans.registry.explanations import log_events

    print(events_table(log_events(first_party())), end="")  # noqa: T201
