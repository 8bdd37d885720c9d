"""The tables of docs/scaling.md, of figures of bench_scale.py and bench.py."""

from __future__ import annotations

from typing import Any


def block(scale: dict[str, Any], results: dict[str, Any], name: str) -> str:
    """Return the Markdown of a block."""
    del scale, results, name
    return "Not measured yet.\n"
