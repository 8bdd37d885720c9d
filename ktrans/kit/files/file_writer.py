"""The one loop that writes files of rows: it splits, names, opens, fills and closes them.

A format encodes rows, a staging area (a folder, or uploads to an object store) takes the bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, runtime_checkable

import pyarrow as pa

from ktrans.api import Encoded, Format, FormatWriter, Receipt, Writer
from ktrans.kit.files.compression import Compression, OutputStream, compressed
from ktrans.kit.files.partition import group, render, take
from ktrans.kit.files.path_template import PathTemplate, Slot

_MAX_BUFFERED_BYTES = 256 << 20
"""What all of a task's files together may hold in memory after a batch."""

Key = tuple[str, ...]
"""The values of the template's slots, fit for a path."""


class NewFile(Protocol):
    """A file in a staging area."""

    @property
    def held_bytes(self) -> int:
        """How much of it is only in memory so far."""

    def write(self, data: Any) -> object:
        """Add all of a buffer."""

    def end(self, rows: int) -> None:
        """Complete it; may continue in the background until the area's `finish`."""

    def drop(self) -> None:
        """Close it unfinished; the area's `abort` removes what is left."""


class StagingArea(Protocol):
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
        """Turn errors of writing files into errors of `ktrans.api`."""


@runtime_checkable
class Buffering(Protocol):
    """A format's writer that buffers rows before it writes them, as Parquet's does."""

    buffered_bytes: int

    def flush(self) -> None:
        """Write what is buffered."""


@runtime_checkable
class Grouping(Protocol):
    """A format that encodes the groups of a batch together, cheaper than one by one."""

    def encode_groups(self, batch: pa.RecordBatch, groups: Sequence[pa.Array]) -> list[Encoded]:
        """Encode the rows at each of these arrays of indices."""


@dataclass(slots=True)
class _OpenFile:
    file: NewFile
    output: OutputStream
    stream: BinaryIO
    writer: FormatWriter
    packed: bool

    @property
    def size(self) -> int:
        """The size of the file if it were closed now, as exactly as it is known."""
        return self.output.size if self.packed else self.writer.tell()

    @property
    def buffered(self) -> int:
        """Bytes that the format buffers."""
        return self.writer.buffered_bytes if isinstance(self.writer, Buffering) else 0

    @property
    def in_memory(self) -> int:
        return self.buffered + self.file.held_bytes


class FileWriter(Writer):
    """Writes the rows of one task into files, by the values that fill the template's slots.

    Args:
        columns: the columns that go into the files; None means all.
        names: the beginning of their names, and their extension.
        target_bytes: size at which a file is closed.
        max_open: how many are open at a time.
    """

    def __init__(
        self,
        template: PathTemplate,
        format: Format[Any],  # noqa: A002  # the option's name
        area: StagingArea,
        *,
        columns: list[str] | None = None,
        names: tuple[str, str],
        compression: Compression,
        target_bytes: int,
        max_open: int,
    ) -> None:
        self._template = template
        self._format = format
        self._area = area
        self._columns = columns
        self._names = names
        self._compression: Compression = compression
        self._target_bytes = target_bytes
        self._max_open = max_open
        self._open: dict[Key, _OpenFile] = {}
        self._parts: dict[Key, int] = {}

    def encode(self, batch: pa.RecordBatch) -> list[tuple[Key, Encoded]]:
        """Split a batch by folders and encode each part. Pure."""
        if not batch.num_rows:
            return []
        keys, groups = group(self._template, batch)
        if self._columns is not None:
            batch = batch.select(self._columns)
        if not groups:
            return [(keys[0], self._format.encode(batch))]
        if isinstance(self._format, Grouping):
            parts = self._format.encode_groups(batch, groups)
        else:
            parts = [self._format.encode(take(batch, rows)) for rows in groups]
        return list(zip(keys, parts, strict=True))

    def write(self, encoded: list[tuple[Key, Encoded]]) -> None:
        """Add each part to its file, and close files that are full.

        Raises:
            RetryableError: the disk is full or fails; what the task had written is gone.
            AccessError: permission denied.
        """
        with self._abort_on_error():
            for key, part in encoded:
                file = self._open.get(key) or self._begin(key)
                file.writer.write(part)
                if file.size >= self._target_bytes:
                    self._end(key)
            self._limit_memory()

    def finish(self) -> Receipt:
        """Complete the files, durably, not yet visible."""
        with self._abort_on_error():
            for key in sorted(self._open):
                self._end(key)
            files = sorted(self._area.finish(), key=lambda file: str(file["final"]))
        return Receipt(
            rows=sum(file["rows"] for file in files),
            bytes=sum(file["bytes"] for file in files),
            data={"files": files},
            outputs=tuple(file["final"] for file in files),
        )

    def abort(self) -> None:
        """Close and remove the task's files."""
        for file in self._open.values():
            file.output.drop()
            file.file.drop()
        self._open.clear()
        self._area.abort()

    def _begin(self, key: Key) -> _OpenFile:
        if len(self._open) >= self._max_open:
            self._end(max(self._open, key=lambda other: (self._open[other].size, other)))
        part = self._parts.get(key, 0)
        self._parts[key] = part + 1
        file = self._area.begin(self._relative(key, part))
        output = OutputStream(file.write)
        stream = compressed(output, self._compression)
        try:
            writer = self._format.open(stream)
        except BaseException:
            output.drop()
            file.drop()
            raise
        opened = _OpenFile(file, output, stream, writer, self._compression != "none")
        self._open[key] = opened
        return opened

    def _end(self, key: Key) -> None:
        # Stays among the open ones until it is closed, so that `abort` finds it.
        file = self._open[key]
        rows = file.writer.finish()
        file.stream.close()
        file.file.end(rows)
        del self._open[key]

    def _limit_memory(self) -> None:
        """Flush what formats buffer, then close files, the largest first, until the limit holds."""
        while sum(file.in_memory for file in self._open.values()) > _MAX_BUFFERED_BYTES:
            key = max(self._open, key=lambda k: (self._open[k].in_memory, k))
            writer = self._open[key].writer
            if isinstance(writer, Buffering) and writer.buffered_bytes:
                writer.flush()
            else:
                self._end(key)

    def _relative(self, key: Key, part: int) -> str:
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
    def _abort_on_error(self) -> Iterator[None]:
        try:
            with self._area.errors():
                yield
        except BaseException:
            self.abort()
            raise
