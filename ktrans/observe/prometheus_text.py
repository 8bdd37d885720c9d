"""Operations on the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable


def merge(texts: Iterable[str]) -> str:
    """Merge several texts into one.

    The format requires all lines of a metric to be together, with one explanation.
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
    """Remove the `_created` series, which are of no use."""
    return "".join(line for line in text.splitlines(keepends=True) if not _is_created(line))


def _is_created(line: str) -> bool:
    name = line.removeprefix("# HELP ").removeprefix("# TYPE ").split(" ")[0].split("{")[0]
    return name.endswith("_created")
