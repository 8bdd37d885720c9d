"""Sets up logging to stderr: loggers of the standard library, with structlog as the formatter.

Everything that the process logs, from ktrans, its plugins or their libraries, has one form: text on a
terminal, otherwise one JSON object per line, without secrets. See
docs/logs.md; the events are in the modules `log_events`, the form `ktrans.observe.log_schema`.

structlog and the redaction of secrets are imported with the first line that is logged, so that a run
that logs nothing starts faster.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Literal

from ktrans.engine.log_context import bound
from ktrans.observe import log_events

if TYPE_CHECKING:
    from structlog.typing import Processor

LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
LogFormat = Literal["auto", "text", "json"]

FIRST = ("timestamp", "level", "event", "message", "logger", "pipeline", "run_id", "component")
"""The first fields of a line, in this order, if they are present."""

_CONTEXT = "ktrans_bound"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", _CONTEXT}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Line = MutableMapping[str, Any]


def set_up(verbosity: int = 0, log_format: LogFormat = "auto") -> None:
    """Send the log of the process to stderr.

    Args:
        verbosity: -1 for errors, 0 for warnings too, 1 for what ktrans and its plugins do, 2 for
            everything, including debug messages of libraries.
        log_format: `auto` is text if stderr is a terminal, else JSON lines.
    """
    if log_format == "auto":
        log_format = "text" if sys.stderr.isatty() else "json"
    level = LEVELS[max(0, min(verbosity + 1, len(LEVELS) - 1))]
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if not isinstance(h, _StderrHandler)]
    root.addHandler(_StderrHandler(log_format))
    root.setLevel(level if level in {logging.ERROR, logging.DEBUG} else logging.WARNING)
    logging.getLogger("ktrans").setLevel(level)
    logging.captureWarnings(capture=True)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the current `sys.stderr`, which a progress bar replaces."""

    def __init__(self, log_format: LogFormat) -> None:
        logging.Handler.__init__(self)
        self._log_format = log_format

    @property
    def stream(self) -> Any:
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        if self.formatter is None:
            self.setFormatter(_formatter(self._log_format, colours=_colours()))
        record.__dict__[_CONTEXT] = bound()
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Report that a line was lost, without its arguments, which may contain secrets."""
        kind = sys.exc_info()[0]
        name = "" if kind is None else kind.__name__
        try:
            sys.stderr.write(f"ktrans: a log line of {record.name} could not be written: {name}\n")
        except OSError:
            return


def _colours() -> bool:
    dumb = os.environ.get("TERM") in {"dumb", ""}
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and not dumb


def _formatter(log_format: LogFormat, *, colours: bool) -> logging.Formatter:
    import structlog

    steps: list[Processor] = [_line, _without_secrets]
    if log_format == "json":
        steps.append(structlog.processors.JSONRenderer(ensure_ascii=False, default=str))
    else:
        steps.append(_printable)
        steps.append(
            structlog.dev.ConsoleRenderer(
                colors=colours,
                event_key="message",
                pad_level=False,
                pad_event_to=0,
                sort_keys=False,
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    return structlog.stdlib.ProcessorFormatter(processors=steps)


def _line(_logger: Any, _method: str, event: Line) -> Line:
    """Return the fields of a line from a log record."""
    record: logging.LogRecord = event.pop("_record")
    from_structlog = event.pop("_from_structlog")
    exc_info = event.pop("exc_info", None)
    stack = event.pop("stack_info", None)
    found = {
        "timestamp": _time(record.created),
        "level": record.levelname.lower(),
        "event": log_events.LOG,
        "message": event.pop("event", ""),
        "logger": record.name,
        **getattr(record, _CONTEXT, {}),
    }
    if from_structlog:  # by an author who uses structlog itself
        found.update({key: event[key] for key in event if key not in FIRST})
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    found.update({key: value for key, value in extra.items() if not key.startswith("_")})
    if exc_info:
        found["exception"] = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    elif stack:
        found["stack"] = stack
    first = {key: found.pop(key) for key in FIRST if key in found}
    return {**first, **found}


def _time(created: float) -> str:
    moment = dt.datetime.fromtimestamp(created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _without_secrets(_logger: Any, _method: str, line: Line) -> Line:
    from ktrans.registry.redaction import is_secret_name, redact_tree
    from ktrans.registry.values import MASK

    values = redact_tree(list(line.values()))
    # Names of fields are never masked, even if they equal a password.
    safe = {
        key: MASK if value and isinstance(value, str) and is_secret_name(key) else value
        for key, value in zip(line, values, strict=True)
    }
    return {**safe, "timestamp": line["timestamp"], "level": line["level"]}


def _printable(_logger: Any, _method: str, line: Line) -> Line:
    """Escape control characters, which a terminal would interpret."""
    return {
        key: _CONTROLS.sub(lambda match: repr(match[0])[1:-1], value)
        if isinstance(value, str)
        else value
        for key, value in line.items()
    }
