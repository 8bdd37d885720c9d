"""The open files of one task: which row goes where, when a file is full, how many are open.

Where the bytes go is the business of a `Place`: a folder of unfinished files, or an object store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, runtime_checkable

from ktrans.api import Encoded, Format, FormatWriter
from ktrans.kit.files.compression import Compression, CountedStream, compressed
from ktrans.kit.files.partition import render
from ktrans.kit.files.path_template import PathTemplate, Slot

_MAX_BUFFERED_BYTES = 256 << 20
"""What all of a task's files together may hold back in memory."""


class NewFile(Protocol):
    """A file that is being written, unseen."""

    @property
    def held_bytes(self) -> int:
        """What of it is only in memory so far."""

    def write(self, data: Any) -> int:
        """Add all of a buffer."""

    def end(self, rows: int) -> None:
        """Complete it; may go on in the background until the place's `finish`."""

    def drop(self) -> None:
        """Give it up and close it; the place's `abort` removes what is left."""


class Place(Protocol):
    """Where the files of one attempt at a task wait until they are published."""

    def begin(self, relative: str) -> NewFile:
        """Begin a file that will have this path below the template's fixed folder."""

    def finish(self) -> Sequence[dict[str, Any]]:
        """Make all ended files durable.

        Returns:
            For each, as JSON: `final` (its name for people), `rows`, `bytes`, and what publishing
            needs.
        """

    def abort(self) -> None:
        """Remove everything. Safe to call twice."""

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Turn what goes wrong while files are written into errors of `ktrans.api`."""


@runtime_checkable
class Buffering(Protocol):
    """A format writer that gathers rows before it writes them, as Parquet's does."""

    buffered_bytes: int

    def flush(self) -> None:
        """Write what is gathered."""


@dataclass(slots=True)
class _Open:
    file: NewFile
    counted: CountedStream
    stream: BinaryIO
    writer: FormatWriter
    gathering: Buffering | None
    packed: bool

    def size(self) -> int:
        """Bytes of the file once it is closed, as far as can be told."""
        return self.counted.size if self.packed else self.writer.tell()

    def gathered(self) -> int:
        """Bytes that the format holds back."""
        return self.gathering.buffered_bytes if self.gathering else 0


class FileSet:
    """Files of one task, by the values that fill the template's slots.

    Args:
        template: where files go.
        format: how rows look in them.
        place: where they wait.
        names: what their names begin with, and their extension.
        compression: of whole files.
        target_bytes: size at which a file is closed.
        max_open: how many are open at a time.
    """

    def __init__(
        self,
        template: PathTemplate,
        format: Format[Any],  # noqa: A002  # the option's name
        place: Place,
        *,
        names: tuple[str, str],
        compression: Compression,
        target_bytes: int,
        max_open: int,
    ) -> None:
        self._template = template
        self._format = format
        self._place = place
        self._names = names
        self._compression: Compression = compression
        self._target_bytes = target_bytes
        self._max_open = max_open
        self._open: dict[tuple[str, ...], _Open] = {}
        self._parts: dict[tuple[str, ...], int] = {}

    def write(self, key: tuple[str, ...], encoded: Encoded) -> None:
        """Add rows to the file of these values, and close it if it is full."""
        with self._undone_on_error():
            file = self._open.get(key) or self._begin(key)
            file.writer.write(encoded)
            if file.size() >= self._target_bytes:
                self._end(key)
            self._bound_memory()

    def finish(self) -> list[dict[str, Any]]:
        """Close all files and make them durable; gives what the place says of each."""
        with self._undone_on_error():
            for key in sorted(self._open):
                self._end(key)
            return sorted(self._place.finish(), key=lambda file: str(file["final"]))

    def abort(self) -> None:
        """Close and remove everything."""
        for file in self._open.values():
            file.counted.drop()
            file.file.drop()
        self._open.clear()
        self._place.abort()

    def _begin(self, key: tuple[str, ...]) -> _Open:
        if len(self._open) >= self._max_open:
            self._end(max(self._open, key=lambda other: (self._open[other].size(), other)))
        part = self._parts.get(key, 0)
        self._parts[key] = part + 1
        file = self._place.begin(self._relative(key, part))
        counted = CountedStream(file)
        stream = compressed(counted, self._compression)
        try:
            writer = self._format.open(stream)
        except BaseException:
            counted.drop()
            file.drop()
            raise
        opened = _Open(
            file,
            counted,
            stream,
            writer,
            writer if isinstance(writer, Buffering) else None,
            self._compression != "none",
        )
        self._open[key] = opened
        return opened

    def _end(self, key: tuple[str, ...]) -> None:
        # Stays among the open ones until it is closed, so that `abort` finds it.
        file = self._open[key]
        rows = file.writer.finish()
        file.stream.close()
        file.file.end(rows)
        del self._open[key]

    def _bound_memory(self) -> None:
        """Write out what formats gather, then close files, the largest first, until it fits."""
        while (
            sum(file.gathered() + file.file.held_bytes for file in self._open.values())
            > _MAX_BUFFERED_BYTES
        ):
            key = max(
                self._open,
                key=lambda k: (self._open[k].gathered() + self._open[k].file.held_bytes, k),
            )
            gathering = self._open[key].gathering
            if gathering is not None and gathering.buffered_bytes:
                gathering.flush()
            else:
                self._end(key)

    def _relative(self, key: tuple[str, ...], part: int) -> str:
        values: dict[Slot, str] = dict(zip(self._template.slots, key, strict=True))
        folder = render(self._template.folders, values)
        if not self._template.name:
            begin, extension = self._names
            return f"{folder}{begin}-{part:05d}{extension}"
        values[Slot("task")] = self._names[0]
        values[Slot("part")] = f"{part:05d}"
        name = render(self._template.name, values)
        if part and Slot("part") not in self._template.name:
            last = self._template.name[-1]
            extension = last[last.find(".") :] if isinstance(last, str) and "." in last else ""
            name = f"{name.removesuffix(extension)}-{part:05d}{extension}"
        return f"{folder}{name}"

    @contextlib.contextmanager
    def _undone_on_error(self) -> Any:
        try:
            with self._place.errors():
                yield
        except BaseException:
            self.abort()
            raise
