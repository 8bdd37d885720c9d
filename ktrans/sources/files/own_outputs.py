"""Keeps the pipeline's own outputs out of its input when both are in one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

import msgspec

from ktrans.api import WritesFolder
from ktrans.sources.files.listing import Found, fixed_part


class OwnOutputs(msgspec.Struct, frozen=True):
    """The files that the pipeline's sinks and its state store write.

    An output folder within an input folder belongs to its sink as a whole. If it is the input
    folder itself or one above it, only the files with the sink's names are its own. So it always
    is with the state store, which may be in any folder.
    """

    outputs: Sequence[WritesFolder]
    paths: Sequence[str]

    def drop(self, files: dict[str, Found]) -> int:
        """Remove the pipeline's own files from a listing; return how many."""
        read = [
            os.path.realpath(path if os.path.lexists(path) else fixed_part(path))
            for path in self.paths
        ]
        outputs = []
        for sink in self.outputs:
            folder = str(sink.folder)
            shared = sink.shared or any(_is_below(path, folder) for path in read)
            outputs.append((folder, sink.owns if shared else lambda _name: True))
        real = cache(os.path.realpath)
        own = []
        for path in files:
            folder, _, name = path.rpartition("/")
            place = real(folder or "/")
            if any(_is_below(place, top) and owns(name) for top, owns in outputs):
                own.append(path)
        for path in own:
            del files[path]
        return len(own)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
