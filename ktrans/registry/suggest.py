"""Parts of messages: the nearest known name, and lists of names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to a misspelt one, if any is close."""
    by_lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    """Join names for a message in alphabetical order; "none" if there are none."""
    return ", ".join(sorted(names)) or "none"
