r"""Finds what is new in a growing hour blob, by its committed blocks.

Azure writes an hour blob as blocks: first `{"records":[`, then one with the new records about every
minute, last `]}`. Each minute it commits the list again with one more block before the last. So the
blocks that were read stay as they are, and what follows them, but for the closer, is new.

Source: Microsoft Learn, "Read flow logs" (Network Watcher), and "Get Block List" (Blob service).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ktrans_azure.blob_container import BlockList

OPENER_BYTES = 16
"""A blob that is no longer than this, without its closer, holds no record yet."""

CLOSER_BYTES = 8
"""A last block of at most so many bytes closes the document; a record alone has hundreds."""


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a blob that earlier epochs have read.

    Attributes:
        version: the ETag at that time.
        end: bytes read so far, from the start.
        count: blocks read so far; 0 for a blob without blocks.
        digest: of these blocks.
        more: whether there were more blocks than the epoch had room for.
        rejected: set by the engine when the last part was rejected as a whole.
    """

    version: str
    end: int
    count: int
    digest: str
    more: bool = False
    rejected: bool = False

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "rejected"}

    def covers(self, version: str) -> bool:
        """Return whether the blob is the same, and was read completely."""
        return self.version == version and not self.more


@dataclass(frozen=True, slots=True)
class Part:
    """The next part of a blob to read.

    Attributes:
        start: its first byte.
        known: the state once it is read.
        change: `new` or `grown`, or `replaced` if what was read before is no longer there.
    """

    start: int
    known: Known
    change: Literal["new", "grown", "replaced"]

    @property
    def size(self) -> int:
        return self.known.end - self.start


def next_part(blocks: BlockList, known: Known | None, room: int) -> Part | None:
    """Find what of a blob has not been read yet.

    Args:
        blocks: what it has now.
        known: what was read of it.
        room: take whole blocks of about this many bytes, but always one.

    Returns:
        The part, or None if there is nothing to read.
    """
    change: Literal["new", "grown", "replaced"] = "new"
    count = start = 0
    if known is not None and known.end:  # else it was refused before anything of it was read
        change = "grown" if _has_grown(blocks, known) else "replaced"
        if change == "grown":
            count, start = known.count, known.end
    if not blocks.blocks:
        if blocks.size <= start:
            return None
        return Part(0, Known(blocks.version, blocks.size, 0, ""), change)
    last = len(blocks.blocks)
    if blocks.blocks[-1][1] <= CLOSER_BYTES:
        last -= 1
    end = start
    while count < last:
        size = blocks.blocks[count][1]
        if end > max(start, OPENER_BYTES) and end + size - start > room:
            break
        end += size
        count += 1
    if end == start or end <= OPENER_BYTES:
        return None
    known = Known(blocks.version, end, count, blocks.digest(count), more=count < last)
    return Part(start, known, change)


def _has_grown(blocks: BlockList, known: Known) -> bool:
    """Return whether the part of a blob that was read still exists."""
    if known.count == 0:
        return not blocks.blocks and blocks.version == known.version
    return len(blocks.blocks) >= known.count and blocks.digest(known.count) == known.digest
