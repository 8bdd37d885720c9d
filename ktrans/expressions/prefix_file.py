"""Reads a list of prefixes from a file: `in_cidr(src_addr, file('prefixes.txt'))`."""

from __future__ import annotations

import re
from pathlib import Path

from ktrans.expressions.prefixes import parse_prefix

_COMMENT = re.compile(r"[#;].*")


def read_prefixes(path: Path) -> list[str]:
    """Return the prefixes in a file: one a line, IPv4 or IPv6; `#` and `;` begin a comment.

    Raises:
        ValueError: the file cannot be read, a line of it is no prefix, or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = _COMMENT.sub("", line).strip()
        if not text:
            continue
        try:
            parse_prefix(text)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        found.append(text)
    if not found:
        raise ValueError(f"{path} has no prefix")
    return found
