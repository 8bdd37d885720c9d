"""The bytes of a spooled segment, and the folder of a pipeline's spool."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from ktrans.api import Context, Payload, Split, SplitChangedError


def spool_folder(context: Context, chosen: str | None) -> Path:
    """Return the folder of a pipeline's spool: the chosen one, or one beside the pipeline file."""
    if chosen:
        return context.path(chosen)
    return Path(context.base_dir) / ".ktrans/spool" / quote(context.pipeline, "")


class SegmentPayload(Payload):
    """One segment of a spool.

    Args:
        why: why it is needed, for the error if it is gone.
        offset: where the segment begins in its stream, in bytes.
        first_line: the 1-based number of its first line there.
    """

    def __init__(
        self, split: Split, path: Path, why: str, *, offset: int = 0, first_line: int = 1
    ) -> None:
        super().__init__(split, offset=offset, first_line=first_line)
        self.path = path
        if not path.is_file():
            raise SplitChangedError(
                f"the spooled segment {path} is gone",
                code="split_vanished",
                hint=f"segments must stay until ktrans removes them{why}",
            )

    def open(self) -> BinaryIO:
        """Open the segment."""
        return io.FileIO(self.path)

    def random_access(self) -> BinaryIO:
        """Open the segment; it is the whole stream when its format needs this."""
        return io.FileIO(self.path)
