"""The partial results of an epoch's tasks, kept until they are merged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from ktrans.api import RunError

MEMORY_BYTES = 64 << 20
"""Partial results beyond this size wait in a temporary file."""


class Partials:
    """Partial results by the number of their task; those beyond a bound wait in a file without a name."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._file = tempfile.SpooledTemporaryFile(memory_bytes, prefix="ktrans-")  # noqa: SIM115
        self._places: dict[int, tuple[int, int]] = {}

    def keep(self, index: int, partial: bytes) -> None:
        """Keep the partial result of a task.

        Raises:
            RunError: the disk does not take it.
        """
        try:
            start = self._file.seek(0, 2)
            self._file.write(partial)
            self._file.flush()
        except OSError as error:
            raise RunError(
                "cannot keep partial results in the temporary folder "
                f"{tempfile.gettempdir()}: {error.strerror or error}",
                code="spill_failed",
                hint="make room there, name another folder in TMPDIR, or make epochs smaller "
                "(engine.epoch_size)",
            ) from None
        self._places[index] = (start, len(partial))

    def read(self) -> Iterator[bytes]:
        """Yield the partial results in the order of their tasks."""
        for _, (start, size) in sorted(self._places.items()):
            self._file.seek(start)
            yield self._file.read(size)

    def close(self) -> None:
        """Remove what is kept."""
        self._file.close()
