"""The one loop that writes rows into files: it routes them to the file of their partition.

A batch of few partitions is split and encoded at once, and goes straight to their open files. Rows of
many partitions are gathered first, so that few files are open at a time and none is small for that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.api import Encoded, Format, InterruptedRunError, Receipt, Writer
from ktrans.kit.files.compression import Compression
from ktrans.kit.files.gather import Block, Gather
from ktrans.kit.files.gathered_form import Texts, form_of
from ktrans.kit.files.open_files import Describe, OpenFiles, StagingArea, sort_key
from ktrans.kit.files.partition import indices_of, number, take
from ktrans.kit.files.path_template import Key, PathTemplate

MAX_OPEN = 16
"""How many files of a task are open at most; each may hold buffers of a format and of an upload."""


class Part(msgspec.Struct, frozen=True):
    """Encoded rows of one partition, and the rows themselves unless their texts are all it needs."""

    key: Key
    encoded: Encoded
    rows: pa.RecordBatch | None

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.encoded.nbytes


class FileWriter(Writer):
    """Writes the rows of one task into files, by the values that fill the template's slots.

    What is written, and into how many files, depends on nothing but the rows and these options.

    Args:
        columns: the columns that go into the files; None means all.
        names: the beginning of their names, and their extension.
        target_bytes: size at which a file is closed.
        buffer_bytes: what gathered rows and the row groups of open files may take in memory.
        abandoned: returns whether the run gives up its work, so that no more files are written.
        describe: what a receipt says of a file besides its name and size.
        data: what a receipt says besides its files.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        template: PathTemplate,
        format: Format[Any],  # noqa: A002  # the option's name
        area: StagingArea,
        *,
        columns: list[str] | None = None,
        names: tuple[str, str],
        compression: Compression,
        target_bytes: int,
        buffer_bytes: int,
        abandoned: Callable[[], bool] = bool,
        describe: Describe | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self._template = template
        self._format = format
        self._area = area
        self._data = data or {}
        self._columns = columns
        self._buffer_bytes = buffer_bytes
        self._abandoned = abandoned
        self._max_open = max(1, min(MAX_OPEN, buffer_bytes // max(1, area.held_bytes)))
        self._worth_a_file = buffer_bytes // MAX_OPEN
        self._form = form_of(format)
        self._gather = Gather(area.spill_folder)
        self._files = OpenFiles(
            template,
            format,
            area,
            names=names,
            compression=compression,
            target_bytes=target_bytes,
            describe=describe,
        )

    def encode(self, batch: pa.RecordBatch) -> list[Part] | Block:
        """Split a batch of few partitions and encode each part; prepare others to be gathered. Pure."""
        if not batch.num_rows:
            return []
        keys, numbers = number(self._template, batch)
        if self._columns is not None:
            batch = batch.select(self._columns)
        if len(keys) > MAX_OPEN:
            return Block.of(keys, numbers, self._form.of_rows(batch))
        if len(keys) == 1:
            rows = None if isinstance(self._format, Texts) else batch
            return [Part(keys[0], self._format.encode(batch), rows)]
        groups = indices_of(numbers, len(keys))
        if isinstance(self._format, Texts):
            texts = self._format.encode_groups(batch, groups)
            return [Part(key, text, None) for key, text in zip(keys, texts, strict=True)]
        taken = [take(batch, group) for group in groups]
        return [Part(k, self._format.encode(r), r) for k, r in zip(keys, taken, strict=True)]

    def write(self, encoded: list[Part] | Block) -> None:
        """Add rows to their files, or to those that are gathered.

        Raises:
            RetryableError: the disk is full or fails; what the task had written is gone.
            AccessError: permission denied.
        """
        with self._abort_on_error():
            if isinstance(encoded, Block):
                self._gather.add(encoded)
            else:
                for part in encoded:
                    self._write_part(part)
            self._limit_memory()

    def finish(self) -> Receipt:
        """Complete the files, durably, not yet visible.

        Raises:
            InterruptedRunError: the run gives up its work.
        """
        with self._abort_on_error():
            last: Key | None = None
            for key, rows in self._gather.take_all():
                self._stop_if_abandoned()
                if last not in (None, key) and last in self._files:
                    self._files.end(last)
                self._files.write(key, self._form.encode(rows))
                last = key
            for key in sorted(self._files, key=sort_key):
                self._stop_if_abandoned()
                self._files.end(key)
            files = sorted(self._area.finish(), key=lambda file: str(file["final"]))
        return Receipt(
            rows=sum(file["rows"] for file in files),
            bytes=sum(file["bytes"] for file in files),
            data={"files": files, **self._data},
            outputs=tuple(file["final"] for file in files),
        )

    def abort(self) -> None:
        """Close and remove the task's files."""
        self._files.drop()
        self._gather.drop()
        self._area.abort()

    def _stop_if_abandoned(self) -> None:
        if self._abandoned():
            raise InterruptedRunError("the run was stopped before all files were written")

    def _write_part(self, part: Part) -> None:
        """Write to the partition's file, if it is open or may be, and no earlier rows wait for it."""
        may = part.key in self._files or len(self._files) < self._max_open
        if may and not self._gather.has(part.key):
            self._files.write(part.key, part.encoded)
        else:
            waiting = self._form.of_part(part.rows, part.encoded)
            self._gather.add(Block.of([part.key], np.zeros(len(waiting), np.int32), waiting))

    def _limit_memory(self) -> None:
        """Write row groups and gathered rows, whichever take more, until the limit holds."""
        copies = self._form.copies
        while (held := self._gather.held_bytes * copies) + (
            buffered := self._files.buffered_bytes
        ) > self._buffer_bytes:
            if held >= buffered:
                self._write_gathered()
            else:
                self._files.flush_largest()

    def _write_gathered(self) -> None:
        """Write the gathered rows of open files and of partitions that are worth one, and spill the rest.

        If there is no room for another open file, one that gets no rows any more gives way.
        """
        waiting = self._gather.in_memory()
        chosen = {key for key, _ in waiting if key in self._files}
        room = self._max_open - len(self._files)
        for key, size in waiting:
            if key in chosen or size < self._worth_a_file:
                continue
            if not room and not self._files.end_idle(self._worth_a_file, chosen):
                break
            room = max(0, room - 1)
            chosen.add(key)
        for key, rows in self._gather.take(chosen):
            self._files.write(key, self._form.encode(rows))
        self._files.note_idle()

    @contextlib.contextmanager
    def _abort_on_error(self) -> Iterator[None]:
        try:
            with self._area.errors():
                yield
        except BaseException:
            self.abort()
            raise
