"""Prometheus' text format, as text."""

from __future__ import annotations

from collections.abc import Iterable


def joined(texts: Iterable[str]) -> str:
    """Join several texts into one, in which all lines of a metric stand together.

    The format asks for that, and for each metric to be explained but once.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        name = ""
        for line in text.splitlines(keepends=True):
            if line.startswith("#"):
                name = line.split(" ")[2]
                head = heads.setdefault(name, [])
                if line not in head:
                    head.append(line)
            else:
                samples.setdefault(name, []).append(line)
    return "".join("".join((*head, *samples.get(name, ()))) for name, head in heads.items())


def without_created(text: str) -> str:
    """Leave out the `_created` series, which nobody asks for."""
    return "".join(line for line in text.splitlines(keepends=True) if not _is_created(line))


def _is_created(line: str) -> bool:
    name = line.removeprefix("# HELP ").removeprefix("# TYPE ").split(" ")[0].split("{")[0]
    return name.endswith("_created")
