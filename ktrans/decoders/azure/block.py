"""The blocks of Azure flow logs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ktrans.decoders.azure.records import Records
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.read.azure_lines import tuple_lines
from ktrans.decoders.read.faults import Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class TupleBlock(Block):
    """Flow-log records of one kind; the tuples are what is counted as records.

    Attributes:
        groups: the flow-log records and their groups of tuples.
        same_position: whether all tuples have the position `first`, as those of a replayed record.
    """

    groups: Records
    same_position: bool = False

    @property
    def nbytes(self) -> int:
        """Approximate size of the rows."""
        return self.groups.nbytes

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Return the positions of tuples in the object, by their index in the block."""
        return np.full(len(index), self.first) if self.same_position else index + self.first

    def bad_records(self, faults: Faults, layout: str | None = None) -> list[Refused]:
        """Return bad tuples, each with the record that it is part of as its layout."""
        del layout
        lines, reasons, details = faults.ordered()
        index = np.array(lines, dtype=np.int64)
        text = tuple_lines(self.groups)
        raw = text.plain().split(b"\n")
        groups = np.searchsorted(np.cumsum(text.counts), index, side="right").tolist()
        layouts = {group: self.groups.layout_text(group) for group in set(groups)}
        return [
            Refused(position, reason, raw[line], detail, layout=layouts[group])
            for position, line, reason, detail, group in zip(
                self.positions(index).tolist(), lines, reasons, details, groups, strict=True
            )
        ]
