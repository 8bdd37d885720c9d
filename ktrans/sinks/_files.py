"""The open files of one task: which row goes where, when a file is full, how many are open."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from ktrans.api import Encoded, Format, FormatWriter, TaskId
from ktrans.sinks._compress import Compression, CountedStream, compressed
from ktrans.sinks._partition import render
from ktrans.sinks._staging import Staging, os_errors, sync_tree
from ktrans.sinks._template import PathTemplate, Slot

_MAX_BUFFERED_BYTES = 256 << 20
"""What all of a task's files together may hold back in memory."""


@runtime_checkable
class Buffering(Protocol):
    """A format writer that gathers rows before it writes them, as Parquet's does."""

    buffered_bytes: int

    def flush(self) -> None:
        """Write what is gathered."""


@dataclass(slots=True)
class _Open:
    staged: Path
    final: Path
    file: BinaryIO
    counted: CountedStream
    stream: BinaryIO
    writer: FormatWriter
    gathering: Buffering | None
    packed: bool

    def size(self) -> int:
        """Bytes on disk once it is closed, as far as can be told."""
        return self.counted.size if self.packed else self.writer.tell()


class FileSet:
    """Files of one task, by the values that fill the template's slots.

    Args:
        template: where files go.
        format: how rows look in them.
        staging: where they wait.
        task: whose files they are.
        names: what their names begin with, and their extension.
        compression: of whole files.
        target_bytes: size at which a file is closed.
        max_open: how many are open at a time.
    """

    def __init__(
        self,
        template: PathTemplate,
        format: Format[Any],  # noqa: A002  # the option's name
        staging: Staging,
        task: TaskId,
        *,
        names: tuple[str, str],
        compression: Compression,
        target_bytes: int,
        max_open: int,
    ) -> None:
        self._template = template
        self._format = format
        self._staging = staging
        self._task = task
        self._names = names
        self._compression: Compression = compression
        self._target_bytes = target_bytes
        self._max_open = max_open
        self._open: dict[tuple[str, ...], _Open] = {}
        self._parts: dict[tuple[str, ...], int] = {}
        self._done: list[dict[str, Any]] = []

    def write(self, key: tuple[str, ...], encoded: Encoded) -> None:
        """Add rows to the file of these values, and close it if it is full."""
        with self._undone_on_error():
            file = self._open.get(key) or self._begin(key)
            file.writer.write(encoded)
            if file.size() >= self._target_bytes:
                self._end(key)
            self._bound_memory()

    def finish(self) -> list[dict[str, Any]]:
        """Close all files and make them durable.

        Returns:
            For each: `staged`, `final` (absolute paths), `rows`, `bytes`.
        """
        with self._undone_on_error():
            for key in sorted(self._open):
                self._end(key)
            if self._done:
                sync_tree(self._staging.folder(self._task))
        return sorted(self._done, key=lambda file: str(file["final"]))

    def abort(self) -> None:
        """Close and remove everything."""
        for file in self._open.values():
            file.counted.drop()
            with contextlib.suppress(OSError):
                file.file.close()
        self._open.clear()
        self._done.clear()
        self._staging.discard(self._task)

    def _begin(self, key: tuple[str, ...]) -> _Open:
        if len(self._open) >= self._max_open:
            self._end(max(self._open, key=lambda other: (self._open[other].size(), other)))
        part = self._parts.get(key, 0)
        self._parts[key] = part + 1
        relative = self._relative(key, part)
        staged = self._staging.place(self._task, relative)
        file = staged.open("wb", buffering=1 << 20)
        counted = CountedStream(file)
        stream = compressed(counted, self._compression)
        writer = self._format.open(stream)
        opened = _Open(
            staged,
            self._staging.root / relative,
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
        file.file.flush()
        os.fsync(file.file.fileno())
        file.file.close()
        del self._open[key]
        self._done.append(
            {
                "staged": str(file.staged),
                "final": str(file.final),
                "rows": rows,
                "bytes": file.counted.size,
            }
        )

    def _bound_memory(self) -> None:
        gathering = [
            (file.gathering.buffered_bytes, key, file.gathering)
            for key, file in self._open.items()
            if file.gathering is not None
        ]
        if sum(size for size, _, _ in gathering) > _MAX_BUFFERED_BYTES:
            max(gathering, key=lambda each: each[:2])[2].flush()

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
            with os_errors(self._staging.folder(self._task)):
                yield
        except BaseException:
            self.abort()
            raise
