"""Tells the pipeline's own outputs from its inputs, when both lie in one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from ktrans.api import WritesFolder
from ktrans.sources.files.listing import Found, has_magic


class OwnOutputs:
    """What the pipeline's sinks write.

    An output folder that lies within a folder that is read belongs to its sink as a whole. If it
    is that very folder or one above it, the inputs lie in there too, and only the files that the
    sink has named are its own.

    Args:
        outputs: the sinks that write files.
        paths: absolute paths and globs of what is read.
    """

    def __init__(self, outputs: Sequence[WritesFolder], paths: Sequence[str]) -> None:
        self._outputs = outputs
        self._paths = paths

    def drop(self, files: dict[str, Found]) -> int:
        """Take the pipeline's own files out of a listing; gives how many they were."""
        read = [os.path.realpath(_fixed(path)) for path in self._paths]
        outputs = []
        for sink in self._outputs:
            folder = str(sink.folder)
            shared = any(_is_below(path, folder) for path in read)
            outputs.append((folder, sink.owns if shared else _any))
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


def _any(_name: str) -> bool:
    return True


def _fixed(path: str) -> str:
    """Give the part of a glob that is no pattern; the whole path if it is none."""
    if os.path.lexists(path) or not has_magic(path):
        return path
    parts = path.split("/")
    return "/".join(parts[: next(i for i, part in enumerate(parts) if has_magic(part))]) or "/"


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
