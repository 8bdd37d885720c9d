"""The form of a log line as a JSON Schema, and the table of events for the documentation.

`python -m ktrans.observe.log_schema` prints the table; `ktrans schema log` prints the schema.
"""

from __future__ import annotations

from typing import Any

from ktrans.api.log_events import LogEvent

FIELDS: dict[str, tuple[str, str]] = {
    "rows": ("integer", "Rows that were decoded."),
    "epoch": ("integer", "The number of the epoch within the pipeline."),
    "task": ("integer", "The number of the task within its epoch, from 0."),
    "tasks": ("integer", "How many tasks the epoch has."),
    "splits": ("integer", "How many objects or ranges are read."),
    "attempt": ("integer", "The attempt that failed, from 1."),
    "attempts": ("integer", "How many attempts it took."),
    "seconds": ("number", "How long it took."),
    "wait_secs": ("number", "How long until the next attempt."),
    "what": ("string", "What was tried: a task, the name of an object, the listing."),
    "code": ("string", "The code of the error, see `ktrans explain`."),
    "outcome": ("string", "done, nothing_to_do, stopped, skipped or failed."),
    "exit_code": ("integer", "What the process exits with."),
    "sink": ("string", "The id of a sink."),
    "url": ("string", "Where the status page is."),
    "observer": ("string", "What looks on."),
    "call": ("string", "The call that failed."),
    "hook": ("string", "The name of the hook."),
    "plugin": ("string", "The distribution that has the hook."),
    "decoder": ("string", "The type of a decoder."),
    "field": ("string", "The field's name in the log."),
    "column": ("string", "A column of the flow schema."),
    "uri": ("string", "The name of an object."),
    "group": ("string", "A consumer group."),
    "messages": ("integer", "How many messages."),
    "generation": ("integer", "How often the configuration was taken, from 1."),
    "new": ("array", "Pipelines that began."),
    "changed": ("array", "Pipelines that go on with other options."),
    "removed": ("array", "Pipelines that ended."),
    "unchanged": ("array", "Pipelines that go on as they are."),
    "errors": ("array", "What is wrong, a text each."),
}
"""Fields that some events have: JSON type, and what it is."""


def log_schema() -> dict[str, Any]:
    """Give the JSON Schema of a line of the log."""
    common = {
        "timestamp": _text("When it was logged: UTC, RFC 3339.", format="date-time"),
        "level": _text("How grave it is.", enum=["debug", "info", "warning", "error", "critical"]),
        "event": _text("What happened: a name from the table in docs/logs.md, or a plugin's own."),
        "message": _text("The same for people. Its wording may change."),
        "logger": _text("Who logs: ktrans.*, or the name of a library's logger."),
        "pipeline": _text("The pipeline's name; absent outside of runs."),
        "run_id": _text("The run, as in the receipt; absent outside of runs."),
        "component": _text("source, decoder, enrichers[0] type, or the id of a sink."),
        "exception": _text("A traceback, without the values of variables."),
        "stack": _text("Where it was logged, for calls that ask for it."),
    }
    some = {name: {"type": kind, "description": about} for name, (kind, about) in FIELDS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of the ktrans log",
        "type": "object",
        "required": ["timestamp", "level", "event", "message", "logger"],
        "properties": {**common, **some},
        "additionalProperties": True,
    }


def events_table() -> str:
    """Give the table of events, in Markdown."""
    lines = ["| event | level | when | fields |", "|---|---|---|---|"]
    lines += [
        f"| `{event.value}` | {event.level} | {event.about} | "
        f"{', '.join(f'`{name}`' for name in event.fields)} |"
        for event in LogEvent
    ]
    return "\n".join(lines) + "\n"


def _text(about: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": about, **more}


if __name__ == "__main__":
    print(events_table(), end="")  # noqa: T201
