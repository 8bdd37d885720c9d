"""The result of one plan of the file source: splits, what to remember, notes for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ktrans.api import Split
from ktrans.sources.files.known_files import Known
from ktrans.sources.files.listing import Found, file_uri, to_key

_NAMED = 3


class PlanResult(msgspec.Struct):
    """Collects the splits of a plan.

    Attributes:
        splits: what will be read.
        remember: what to keep of each file, by split key.
        planned_bytes: sizes of the splits, summed.
        waiting: at most how many files are left for the next plan.
        waiting_bytes: their sizes, summed.
        unsettled: paths of files that were changed too recently.
        tails: paths of files that have a last line without an end.
        torn: paths of files of which such a line was read before.
        replaced: paths of files whose content has changed since they were read.
        own: how many files the pipeline itself wrote.
    """

    splits: list[Split] = msgspec.field(default_factory=list)
    remember: dict[str, Any] = msgspec.field(default_factory=dict)
    planned_bytes: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    unsettled: list[str] = msgspec.field(default_factory=list)
    tails: list[str] = msgspec.field(default_factory=list)
    torn: list[str] = msgspec.field(default_factory=list)
    replaced: list[str] = msgspec.field(default_factory=list)
    own: int = 0

    def add(
        self,
        found: Found,
        start: int,
        end: int,
        state: Known,
        *,
        head: str | None,
        rejected: bool = False,
    ) -> None:
        """Add the bytes [start, end) of a file; `state` is what to remember."""
        key = to_key(found.path)
        data = {
            "path": key,
            "size": found.size,
            "inode": found.inode,
            "mtime_ns": found.mtime_ns,
            "start": start,
            "end": end,
            "first_line": state.lines + 1,
            "head": head,
            "whole": state.whole,
        }
        self.splits.append(Split(key, file_uri(found.path), end - start, data, rejected))
        self.remember[key] = state.to_json()
        self.planned_bytes += end - start

    def defer(self, found: Found, known: Known | None) -> None:
        """Count a file that exceeds the budget."""
        read = known.size if known and known.size <= found.size else 0
        self.waiting += 1
        self.waiting_bytes += found.size - read

    def notes(self, *, reread: bool) -> Iterator[str]:
        """Yield notes for the receipt."""
        if self.own:
            yield f"{self.own} files below the pipeline's own outputs are skipped"
        if self.torn:
            yield f"continued after a line that was read before it was complete: {_some(self.torn)}"
        if self.replaced:
            done = "read again from the start" if reread else "skipped (on_replaced: skip)"
            yield f"content replaced since it was read, {done}: {_some(self.replaced)}"

    def left(self) -> Iterator[str]:
        """Yield what a later run has to read."""
        if self.unsettled:
            yield f"not read, changed too recently (min_age): {_some(self.unsettled)}"
        if self.tails:
            yield f"a last line without a line end was not read (tail_wait): {_some(self.tails)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
