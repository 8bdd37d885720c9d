"""Says in plain words what is wrong with the syntax of a YAML file."""

from __future__ import annotations

import re

_WORDS = {
    "'<scalar>'": "text",
    "<block end>": "a new line with the next key",
    "while parsing a flow mapping": "in a mapping that began with {",
    "while parsing a flow sequence": "in a list that began with [",
    "while parsing a block mapping": "in a mapping",
    "while parsing a block collection": "in a list",
}

_HINTS: tuple[tuple[str, str, str], ...] = (
    (r"'\\t'", "", "YAML is indented with spaces, never with tabs"),
    (r"got '\{'", r"\$$", 'between { and } put references in quotes: "${env:NAME}"'),
    (
        r"got '[{\[]'",
        "",
        'within { } and [ ] put text that holds { or [ in quotes: "out/{action}/"',
    ),
    (
        r"(got|found) '<scalar>'",
        r"[}\]]$",
        'put text that begins with { or [ in quotes: "{action}/"',
    ),
    (
        r"(got|found) '<scalar>'",
        r"[\"']\s*$",
        "there is text behind a closing quote: put all of it in quotes",
    ),
    (r"expected ',' or", "", "a comma is missing, or a bracket is not closed"),
    (r"found '[}\]]'", "", "this bracket was not opened"),
    (r"cannot start any token", "", "put text that begins with this character in quotes"),
    (r"undefined alias", "", 'put text that begins with * in quotes: "*.log"'),
    (
        "mapping values are not allowed",
        "",
        "put text that holds `: ` in quotes, and check the indentation",
    ),
)
"""Patterns of the parser's message and of the line before the place, each with its hint."""


def describe(problem: str, context: str | None, before: str) -> tuple[str, str | None]:
    """Return the message and a hint.

    Args:
        problem: from the parser.
        context: from the parser; what it was reading.
        before: the text of the line before the place.
    """
    message = f"{problem} ({context})" if context else problem
    hint = next(
        (
            hint
            for told, line, hint in _HINTS
            if re.search(told, problem) and re.search(line, before)
        ),
        None,
    )
    for word, plain in _WORDS.items():
        message = message.replace(word, plain)
    return message, hint
