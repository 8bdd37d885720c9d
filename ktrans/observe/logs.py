"""Sets up logging: plain text on a terminal, one JSON object a line elsewhere.

A record may carry `extra={"event": name, "fields": {...}}`; JSON lines have them as keys of their
own. Nothing here ever sees a config, so no secret can come this way.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Literal

LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
LogFormat = Literal["auto", "text", "json"]


def set_up(verbosity: int = 0, log_format: LogFormat = "auto") -> None:
    """Send the log to stderr.

    Args:
        verbosity: -1 errors only, 0 warnings too, 1 what happens, 2 everything.
        log_format: `auto` is text if stderr is a terminal, else JSON lines.
    """
    if log_format == "auto":
        log_format = "text" if sys.stderr.isatty() else "json"
    handler = _StderrHandler()
    handler.setFormatter(TextFormatter() if log_format == "text" else JsonFormatter())
    level = LEVELS[max(0, min(verbosity + 1, len(LEVELS) - 1))]
    logger = logging.getLogger("ktrans")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever `sys.stderr` is at that moment: a progress bar puts itself in between."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr


class TextFormatter(logging.Formatter):
    """`warning: text`, as command line programs speak."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one record as text, with its traceback if it has one."""
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one record as JSON."""
        entry = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if event := getattr(record, "event", None):
            entry["event"] = event
        entry.update(getattr(record, "fields", None) or {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)
