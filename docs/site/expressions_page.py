"""The page of the expression language, from its tables of functions and of the flow schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mapping_page import native_fields

from ktrans.expressions.reference import LITERALS, OPERATORS, Entry, functions
from ktrans.flow.protocols import PROTOCOL_KEYWORDS
from ktrans.flow.schema import COLUMNS
from ktrans.flow.tcp_flags import TCP_FLAGS

_HEAD = """\
# Expressions

Written by `make docs` from the tables of the language; every example is evaluated by a test.
`ktrans components function` prints the functions, `ktrans components function NAME` one of them.

The enricher `filter` (`where`), the enricher `derive` (`columns`), the `where` of a sink and the rules of
[`expect`](compliance.md) have expressions. They look like SQL and are compiled to Arrow: a text column is
computed once for each distinct value. Types are checked before any data is read, and an error
points at the place in the text. No value makes an expression fail: what has no answer is null.

Null means unknown. A comparison with null is null, `and` and `or` follow SQL's three-valued logic,
and a row is kept, sent or counted only where a condition is true.
"""

_VALUES = """\
## Values of columns

A comparison of a column with a text that it never has is refused. The other columns of text may have any
value; [the flow schema](flow-schema.md) has all columns.

| Column | Values |
|---|---|"""


def expressions_page() -> str:
    """Write the page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield from _table("Constants and columns", LITERALS)
    yield from _table("Operators", OPERATORS, "Those that bind loosest first.")
    yield from _table("Functions", functions(), "An argument in brackets can be left out.")
    yield _VALUES
    for column in COLUMNS:
        if column.values:
            yield f"| `{column.name}` | {_texts(column.values)} |"
        elif column.known:
            yield f"| `{column.name}` | {_texts(column.known)}, or others from `derive` and `mapped` |"
        elif column.name == "log_type":
            yield f"| `log_type` | {_texts(_log_types())} and others |"
    flags = ", ".join(f"{bit} is {name}" for name, bit in TCP_FLAGS.items())
    yield f"| `tcp_flags` | a sum: {flags}; `floor(tcp_flags / 2) % 2 = 1` is true if SYN is in it |"
    yield "| `ip_version` | `4`, `6` |"
    yield "| `protocol` | a number, see below |"
    yield ""
    yield "`protocol` is the number that IANA has given; these have names:"
    yield ""
    names = [f"{number} {name}" for number, name in PROTOCOL_KEYWORDS.items()]
    yield f"{', '.join(names)}."


def _table(title: str, entries: Iterable[Entry], text: str = "") -> Iterator[str]:
    yield f"## {title}"
    yield ""
    if text:
        yield text
        yield ""
    yield "| Written | What it gives | Examples |"
    yield "|---|---|---|"
    for entry in entries:
        examples = "<br>".join(f"{_code(text)} is {_code(value)}" for text, value in entry.examples)
        about = entry.about.replace("|", "\\|")
        yield f"| {_code(entry.usage)} | {about} | {examples} |"
    yield ""


def _log_types() -> list[str]:
    found = {fields.get("log_type", "") for fields in native_fields().values()}
    return sorted(text.removeprefix("always ") for text in found if text.startswith("always "))


def _texts(values: Iterable[str]) -> str:
    return ", ".join(f"`'{value}'`" for value in values)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")
