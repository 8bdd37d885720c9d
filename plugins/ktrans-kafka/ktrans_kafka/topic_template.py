"""Topic names with columns in them: `flows-{provider}`."""

from __future__ import annotations

import re
from string import Formatter

from ktrans.kit.files.path_template import NULL_PARTITION, PathTemplate, Slot

_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]")
MISSING = "unknown"
MAX_TOPIC_CHARS = 249
"""Apache Kafka, `org.apache.kafka.common.internals.Topic`: allowed characters and length."""


def parse_topic(text: str) -> PathTemplate:
    """Parse the template of a topic.

    Returns:
        A template with its parts in `name`, for `ktrans.kit.files.partition`.

    Raises:
        ValueError: it is not a valid topic name, or does not begin with fixed text.
    """
    parts: list[str | Slot] = []
    try:
        found = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"braces do not match ({error})") from None
    for literal, name, spec, conversion in found:
        if literal:
            if not _LEGAL.fullmatch(literal):
                raise ValueError("a topic name has letters, digits, dots, dashes and underscores")
            parts.append(literal)
        if name is not None:
            if not name or spec or conversion:
                raise ValueError("a slot is {column}")
            parts.append(Slot(name))
    if not parts or not isinstance(parts[0], str):
        raise ValueError("a topic begins with fixed text, such as flows- in flows-{provider}")
    if text in (".", "..") or len(text) > MAX_TOPIC_CHARS:
        raise ValueError(f"a topic name is neither . nor .. and has {MAX_TOPIC_CHARS} characters")
    return PathTemplate("", (), tuple(parts))


def topic_name(template: PathTemplate, values: tuple[str, ...]) -> str:
    """Return the topic name for a group's values, with invalid characters replaced."""
    rest = iter(values)
    name = "".join(
        part if isinstance(part, str) else _sanitized(next(rest)) for part in template.name
    )
    return name[:MAX_TOPIC_CHARS]


def _sanitized(value: str) -> str:
    return MISSING if value == NULL_PARTITION else _ILLEGAL.sub("_", value)
