"""The bad lines of a block of text."""

from __future__ import annotations

import msgspec
import numpy as np


class Faults(msgspec.Struct):
    """The bad lines of a block.

    Attributes:
        lines: their indexes.
        reasons: the reason code of each.
        details: what is wrong with each, for people.
        bounds: where all lines of the block begin and end, if the reader had to find them.
    """

    lines: list[int] = msgspec.field(default_factory=list)
    reasons: list[str] = msgspec.field(default_factory=list)
    details: list[str] = msgspec.field(default_factory=list)
    bounds: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, line: int, reason: str, detail: str) -> None:
        """Add one bad line."""
        self.lines.append(line)
        self.reasons.append(reason)
        self.details.append(detail)

    def ordered(self) -> tuple[list[int], list[str], list[str]]:
        """Return lines, reasons and details in the order of the lines."""
        order = np.argsort(np.array(self.lines, dtype=np.int64), kind="stable").tolist()
        return (
            [self.lines[place] for place in order],
            [self.reasons[place] for place in order],
            [self.details[place] for place in order],
        )
