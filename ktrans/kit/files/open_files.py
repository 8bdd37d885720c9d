"""The files of a task that are open: named, filled, and closed when they are full.

A format encodes rows, a staging area (a folder, or uploads to an object store) takes the bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import msgspec

from ktrans.api import Encoded, Format, FormatWriter
from ktrans.kit.files.compression import Compression, OutputStream, compressed
from ktrans.kit.files.partition import render
from ktrans.kit.files.path_template import Key, PathTemplate, Slot, safe_value

Describe = Callable[[Key, str, FormatWriter], Mapping[str, Any]]
"""Takes a file's partition, its path below the template's fixed folder, and its finished writer."""


class NewFile(Protocol):
    """A file in a staging area."""

    def write(self, data: Any) -> object:
        """Add all of a buffer."""

    def end(self, rows: int, more: Mapping[str, Any]) -> None:
        """Complete it; may continue in the background until the area's `finish`.

        `more` is added to what `finish` returns of it.
        """

    def drop(self) -> None:
        """Close it unfinished; the area's `abort` removes what is left."""


class StagingArea(Protocol):
    """Where the files of one attempt at a task wait until they are published."""

    @property
    def held_bytes(self) -> int:
        """How much of an open file may be only in memory, at most."""

    def begin(self, relative: str) -> NewFile:
        """Begin a file that will have this path below the template's fixed folder."""

    def spill_folder(self) -> Path:
        """Return a folder for files without names, that hold rows until the attempt ends."""

    def finish(self) -> Sequence[dict[str, Any]]:
        """Make all ended files durable.

        Returns:
            For each, as JSON: `final` (its name for people), `rows`, `bytes`, and what publishing
            needs.
        """

    def abort(self) -> None:
        """Remove everything. Safe to call twice."""

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Turn errors of writing files into errors of `ktrans.api`."""


@runtime_checkable
class Buffering(Protocol):
    """A format's writer that buffers rows before it writes them, as Parquet's does."""

    buffered_bytes: int

    def flush(self) -> None:
        """Write what is buffered."""


@runtime_checkable
class Choosing(Protocol):
    """A format's writer that cannot put every batch into every file."""

    def takes(self, encoded: Encoded) -> bool:
        """Return whether the file can hold a batch; if not, another file is begun for it."""


class _OpenFile(msgspec.Struct):
    path: str
    file: NewFile
    output: OutputStream
    stream: BinaryIO
    writer: FormatWriter
    packed: bool
    given_bytes: int = 0
    idle: bool = False

    @property
    def size(self) -> int:
        """The size of the file if it were closed now, as exactly as it is known."""
        return self.output.size if self.packed else self.writer.tell()

    @property
    def buffered(self) -> int:
        """Bytes that the format buffers."""
        return self.writer.buffered_bytes if isinstance(self.writer, Buffering) else 0

    def takes(self, part: Encoded) -> bool:
        """Return whether the format can put rows into this file."""
        return not isinstance(self.writer, Choosing) or self.writer.takes(part)


class OpenFiles:
    """The open files of a task, at most one for each partition.

    Args:
        names: the beginning of their names, and their extension.
        target_bytes: size at which a file is closed.
        describe: returns what is to be noted of a complete file, as JSON.
    """

    def __init__(
        self,
        template: PathTemplate,
        format: Format[Any],  # noqa: A002  # the option's name
        area: StagingArea,
        *,
        names: tuple[str, str],
        compression: Compression,
        target_bytes: int,
        describe: Describe | None = None,
    ) -> None:
        self._template = template
        self._format = format
        self._area = area
        self._names = names
        self._compression: Compression = compression
        self._target_bytes = target_bytes
        self._open: dict[Key, _OpenFile] = {}
        self._parts: dict[str, int] = {}
        self._describe = describe

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[Key]:
        """Yield the partitions whose file is open."""
        return iter(self._open)

    def __contains__(self, key: Key) -> bool:
        """Return whether the file of a partition is open."""
        return key in self._open

    @property
    def buffered_bytes(self) -> int:
        """What formats buffer of all files."""
        return sum(file.buffered for file in self._open.values())

    def write(self, key: Key, part: Encoded) -> None:
        """Add rows to the file of a partition, and close it if it is full."""
        file = self._open.get(key)
        if file is not None and not file.takes(part):
            self.end(key)
            file = None
        file = file or self._begin(key)
        file.writer.write(part)
        file.given_bytes += part.nbytes
        file.idle = False
        if file.size >= self._target_bytes:
            self.end(key)

    def end(self, key: Key) -> None:
        """Complete the file of a partition."""
        # Stays among the open ones until it is closed, so that `drop` finds it.
        file = self._open[key]
        rows = file.writer.finish()
        file.stream.close()
        file.file.end(rows, self._describe(key, file.path, file.writer) if self._describe else {})
        del self._open[key]

    def flush_largest(self) -> None:
        """Write what the format buffers of the file of which it buffers most."""
        key = max(self._open, key=lambda other: (self._open[other].buffered, *sort_key(other)))
        writer = self._open[key].writer
        assert isinstance(writer, Buffering)
        writer.flush()

    def end_idle(self, least_bytes: int, needed: Container[Key]) -> bool:
        """Complete a file that got so many bytes, but none since `note_idle`, if there is one.

        Returns:
            Whether there was one, apart from those that are needed.
        """
        for key, file in self._open.items():
            if file.idle and file.given_bytes >= least_bytes and key not in needed:
                self.end(key)
                return True
        return False

    def note_idle(self) -> None:
        """Take all files for idle that get nothing from now on."""
        for file in self._open.values():
            file.idle = True

    def drop(self) -> None:
        """Close all files unfinished."""
        for file in self._open.values():
            file.output.drop()
            file.file.drop()
        self._open.clear()

    def _begin(self, key: Key) -> _OpenFile:
        path = self._relative(key)
        file = self._area.begin(path)
        output = OutputStream(file.write)
        stream = compressed(output, self._compression)
        try:
            writer = self._format.open(stream)
        except BaseException:
            output.drop()
            file.drop()
            raise
        opened = _OpenFile(path, file, output, stream, writer, self._compression != "none")
        self._open[key] = opened
        return opened

    def _relative(self, key: Key) -> str:
        """Return the path of the next file of a partition.

        Partitions whose values look alike in a path (null and empty text) count their files together.
        """
        texts = [safe_value(value) for value in key]
        values: dict[Slot, str] = dict(zip(self._template.slots, texts, strict=True))
        folder = render(self._template.folders, values)
        if not self._template.name:
            begin, extension = self._names
            return f"{folder}{begin}-{self._next(folder):05d}{extension}"
        values[Slot("task")] = self._names[0]
        values[Slot("part")] = ""
        part = self._next(folder + render(self._template.name, values))
        values[Slot("part")] = f"{part:05d}"
        name = render(self._template.name, values)
        if part and Slot("part") not in self._template.name:
            last = self._template.name[-1]
            extension = last[last.find(".") :] if isinstance(last, str) and "." in last else ""
            name = f"{name.removesuffix(extension)}-{part:05d}{extension}"
        return f"{folder}{name}"

    def _next(self, place: str) -> int:
        """Return the number of the next file of a place."""
        part = self._parts.get(place, 0)
        self._parts[place] = part + 1
        return part


def sort_key(key: Key) -> tuple[str, ...]:
    """Return what partitions are sorted by."""
    return tuple(safe_value(value) for value in key)
