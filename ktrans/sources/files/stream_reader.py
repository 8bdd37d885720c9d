"""Reads a stream into segments of a spool, cut at line ends."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable

from ktrans.api import ConfigError, InterruptedRunError
from ktrans.kit.spool.segments import HEAD_BYTES, Segment, SegmentWriter, Spool
from ktrans.kit.text.magic import is_whole

_PIECE = 1 << 20
_MAGIC_BYTES = 8
_SMALL = 4096
_TICK_SECS = 0.2


class StreamReader:
    """Cuts one stream into segments, from its first byte to its end.

    Attributes:
        stream: number of the stream's first segment while the stream goes on, else None.
        paused: whether the last segment was closed because input came slowly.
    """

    def __init__(
        self,
        spool: Spool,
        fd: int | None,
        *,
        segment_bytes: int,
        segment_secs: float,
        max_line_bytes: int,
        stopping: Callable[[], bool],
    ) -> None:
        self.stream: int | None = None
        self.paused = False
        self._spool = spool
        self._fd = fd
        self._segment_bytes = segment_bytes
        self._segment_secs = segment_secs
        self._max_line_bytes = max_line_bytes
        self._stopping = stopping
        self._ended = False
        self._whole = False
        self._offset = 0
        self._line = 1
        self._carry = b""
        """Bytes that do not belong to this segment yet: the beginning of a line. They are in its file."""
        self._writer: SegmentWriter | None = None
        """The writer of the next segment, if a part of it was read ahead."""

    def read_segment(self, number: int) -> Segment | None:
        """Read the next segment, under this number; None at the end of the stream."""
        self.paused = False
        if self._ended:
            return None
        writer = self._begin(number)
        if self._offset == 0:
            self._look(writer)
        if not self._ended:
            self._fill(writer)
        if not writer.size:
            writer.discard()
            self._writer = self.stream = None
            return None
        return self._finish(writer, number)

    def leave(self) -> None:
        """Keep what was read ahead as a segment, because this process reads no more."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.write(self._carry)
        self._carry = b""
        if not writer.size:
            writer.discard()
            return
        if self._offset == 0:
            writer.keep_head(HEAD_BYTES)
        writer.finish()

    def _begin(self, number: int) -> SegmentWriter:
        """Return the writer for the next segment, which may have been begun with the one before."""
        if self._writer is None:
            self.stream = self.stream or number
            self._writer = self._spool.begin(Segment(number, self.stream, self._offset, self._line))
        return self._writer

    def _finish(self, writer: SegmentWriter, number: int) -> Segment:
        """Complete a segment, after what was read ahead is in the next one."""
        if self._offset == 0:
            writer.keep_head(HEAD_BYTES)
        self._offset += writer.size
        self._line += writer.lines
        self._writer = None
        if self._carry:
            self._begin(number + 1).ahead(self._carry)
        segment = writer.finish()
        if self._ended:
            self.stream = None
        return segment

    def _look(self, writer: SegmentWriter) -> None:
        """Read enough to detect the format of the stream."""
        if self._fd is None:
            if sys.stdin is None:
                raise ConfigError("there is no standard input to read", code="no_stdin")
            self._fd = sys.stdin.fileno()
        while len(self._carry) < _MAGIC_BYTES:
            data = self._read(self._fd, _SMALL)
            if not data:
                self._ended = not self._carry
                break
            self._carry += data
            writer.ahead(self._carry)
        self._whole = is_whole(self._carry)

    def _read(self, fd: int, size: int) -> bytes:
        """Read what is available, checking now and then whether the run should end.

        Raises:
            InterruptedRunError: the run should end; whole lines are in the spool, for the next run.
        """
        while not select.select([fd], [], [], _TICK_SECS)[0]:
            if self._stopping():
                raise InterruptedRunError("stopped while waiting for standard input")
        return os.read(fd, size)

    def _fill(self, writer: SegmentWriter) -> None:
        deadline = time.monotonic() + self._segment_secs
        fd = self._fd or 0
        self._put(writer, b"")
        while self._whole or writer.size < self._segment_bytes or not writer.at_line_end:
            if not self._whole and writer.size and writer.at_line_end:
                left = max(0.0, deadline - time.monotonic())
                if not select.select([fd], [], [], left)[0]:
                    self.paused = True
                    return
            need = self._segment_bytes - writer.size
            try:
                data = self._read(fd, _PIECE if self._whole else min(_PIECE, max(_SMALL, need)))
            except InterruptedRunError:  # `leave` finishes the segment
                writer.write(self._carry)
                self._carry = b""
                raise
            if not data:
                self._ended = True
                writer.write(self._carry)
                self._carry = b""
                return
            self._put(writer, data)

    def _put(self, writer: SegmentWriter, data: bytes) -> None:
        """Write whole lines; a line that is too long is written as it arrives."""
        data = self._carry + data
        if self._whole:
            cut = len(data)
        else:
            need = self._segment_bytes - writer.size
            cut = data.find(b"\n", max(0, need - 1)) + 1 or data.rfind(b"\n") + 1
            if not cut and len(data) > self._max_line_bytes:
                cut = len(data)
        writer.ahead(data)  # before anything else is read
        writer.write(data[:cut])
        self._carry = data[cut:]
