"""How many JSON records are read together, so that names which never repeat do not fill the memory.

Every name is a column over all records that are read together. Where each record has names of its own,
the columns grow with the square of the records; then fewer are read at a time.
"""

from __future__ import annotations

import math
import re

_NAME = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*:')
_SAMPLES = 32
_CELLS = 1 << 22
"""So many values of names that do not repeat are no trouble."""
_CELLS_OF_A_PART = 1 << 19


def part_lines(data: bytes, records: int) -> int:
    """Return how many lines of JSON to read at a time, by the names in some of them.

    Samples are taken by place in the text, so that long lines are more likely to be among them.
    """
    lines = _sample(data)
    seen: set[bytes] = set()
    again: set[bytes] = set()
    for line in lines:
        names = set(_NAME.findall(line))
        again |= seen & names
        seen |= names
    fresh = (len(seen) - len(again)) / max(len(lines), 1)
    if len(lines) < 2 or fresh * records * records <= _CELLS:  # noqa: PLR2004
        return records
    return min(max(math.isqrt(int(_CELLS_OF_A_PART / fresh)), 1), records)


def _sample(data: bytes) -> list[bytes]:
    """Return lines at regular distances, each once."""
    spans: dict[int, int] = {}
    for place in range(0, len(data), len(data) // _SAMPLES + 1):
        start = data.rfind(b"\n", 0, place) + 1
        end = data.find(b"\n", place)
        spans[start] = len(data) if end < 0 else end
    return [data[start:end] for start, end in spans.items()]
