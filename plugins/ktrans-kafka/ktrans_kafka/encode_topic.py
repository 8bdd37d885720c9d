"""Topics named by the rows: `flows-{provider}`."""

from __future__ import annotations

import re
from string import Formatter

from ktrans.kit.files.path_template import NULL_PARTITION, PathTemplate, Slot

_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]")
MISSING = "unknown"
MAX_TOPIC_CHARS = 249
"""Apache Kafka, `org.apache.kafka.common.internals.Topic`: characters and length of names."""


def parse_topic(text: str) -> PathTemplate:
    """Take a topic's template apart.

    Returns:
        A template with the parts in `name`, as `ktrans.kit.files.partition` groups rows by.

    Raises:
        ValueError: it is no topic name, or does not begin with fixed text; says how to fix it.
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
    """Fill the slots with a group's values, made fit for a topic name."""
    rest = iter(values)
    name = "".join(part if isinstance(part, str) else _fit(next(rest)) for part in template.name)
    return name[:MAX_TOPIC_CHARS]


def _fit(value: str) -> str:
    return MISSING if value == NULL_PARTITION else _ILLEGAL.sub("_", value)
