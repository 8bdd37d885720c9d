"""Globs of object names, as the options `include` and `exclude` have them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def is_included(key: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Return whether an object's key matches `include` (or that is empty) and not `exclude`."""
    if include and not any(matches(key, glob) for glob in include):
        return False
    return not any(matches(key, glob) for glob in exclude)


def matches(key: str, glob: str) -> bool:
    """Return whether a key matches a glob; without a slash its last part is compared."""
    return fnmatchcase(key if "/" in glob else key.rpartition("/")[2], glob)
