"""The `stdin` source: standard input, kept in segments until they are committed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from pydantic import Field

from ktrans.api import (
    Budget,
    Context,
    Memory,
    Plan,
    Source,
    Split,
    UsageError,
)
from ktrans.kit.spool.options import SpoolConfig
from ktrans.kit.spool.payload import SegmentPayload, spool_folder
from ktrans.kit.spool.plan import first_number, segments_plan
from ktrans.kit.spool.recorded import unrecorded
from ktrans.kit.spool.segments import HEAD_BYTES, Segment, Spool
from ktrans.kit.units import Duration, Size
from ktrans.sources.files.stream_reader import StreamReader


class StdinSourceConfig(SpoolConfig, type="stdin"):
    """Standard input, spooled to disk so that a killed run resumes with the same bytes.

    Plain text is cut at line ends; compressed input and Parquet become one segment whatever their
    size. Segments are removed once their rows are committed. What a killed run had read but not
    finished is read first by the next one: all input is in the spool before more is read.
    """

    segment_size: Size = Field(
        default=64 << 20,
        ge=1,
        description="A segment is closed at the first line end after this many bytes.",
        examples=[16_777_216],
    )
    segment_age: Duration = Field(
        default=5,
        gt=0,
        description="A segment with complete lines is closed after this long although it "
        "is not full, so that a slow stream is not held back.",
        examples=[1],
    )


class StdinPayload(SegmentPayload):
    """One segment of the spool, with the head of its stream."""

    def __init__(self, split: Split, spool: Spool) -> None:
        data = split.data
        super().__init__(
            split,
            spool.folder / data["file"],
            "; standard input has no copy",
            offset=data["offset"],
            first_line=data["line"],
        )
        self._head = spool.head_path(data["stream"])

    def head(self, size: int) -> bytes:
        """Read the first bytes of the stream, up to 64 KiB."""
        with (self._head if self.offset else self.path).open("rb") as file:
            return file.read(min(size, HEAD_BYTES))


class StdinSource(Source[StdinSourceConfig]):
    """Reads standard input ahead into the spool while planning."""

    reads = "shared_path"
    bound_because = "what it has read waits in a local folder"

    def __init__(
        self, config: StdinSourceConfig, context: Context | None = None, *, fd: int | None = None
    ) -> None:
        super().__init__(config, context)
        self._spool = Spool(spool_folder(self.context, config.spool_dir))
        self._reader = StreamReader(
            self._spool,
            fd,
            segment_bytes=config.segment_size,
            segment_secs=config.segment_age,
            max_line_bytes=self.context.limits.max_line_bytes,
            stopping=self.context.stopping,
        )
        self._adopted = False
        self._next = 1
        self._temporary: TemporaryDirectory[str] | None = None

    def check(self) -> None:
        """Check whether the spool folder can be written."""
        self._spool.check()

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Take waiting segments, then read until the budget is full or the stream ends.

        Waits for input if there is none yet; ends early when it comes slowly.
        """
        first = first_number(position)
        if self.context.ephemeral:
            self._use_temporary()
        elif not self._adopted:
            self._spool.check()
            self._spool.adopt()
            self._adopted = True
        number = max(first - 1, *(s.number for s in self._spool.segments()), 0) + 1
        self._next = number
        waiting = self._waiting(memory, budget)
        taken: list[Segment] = []
        size = 0
        while not budget.full(len(taken), size):
            if waiting:
                segment = waiting.pop(0)
            elif self._reader.paused and taken:
                break
            else:
                read = self._reader.read_segment(number)
                if read is None:
                    break
                segment = read
                number += 1
                self._next = number
            taken.append(segment)
            size += segment.size
        if not taken:
            return None
        return segments_plan(position, taken, self._split, memory, self._key)

    def _waiting(self, memory: Memory, budget: Budget) -> list[Segment]:
        """Return waiting segments, after removing recorded ones."""
        left = unrecorded(self._spool, memory, self._key, keep=self._reader.stream)
        return [s for s in left if self._key(s.number) not in budget.skip]

    def open(self, split: Split) -> StdinPayload:
        """Open a segment."""
        return StdinPayload(split, self._spool)

    def commit(self, plan: Plan) -> None:
        """Do nothing: the next `plan` removes the segments, if they were not quarantined."""

    def reset(self) -> None:
        """Forget what earlier runs had read but not finished."""
        self._spool.clear()

    def close(self) -> None:
        """Keep what was read ahead; remove the spool of a preview."""
        if not self.context.ephemeral:
            self._reader.leave()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _use_temporary(self) -> None:
        """Use a spool of its own: a run may be using the pipeline's."""
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="ktrans-")
            self._spool.folder = Path(self._temporary.name)

    def check_rewind(self) -> None:
        """Raise UsageError: a stream cannot be read twice."""
        raise UsageError(
            "the stdin source cannot go back: a stream cannot be read twice",
            code="cannot_rewind",
            hint="send the logs again",
        )

    def position_from(self, text: str) -> Any:
        """Raise UsageError: a stream has no positions."""
        raise UsageError(
            f"the stdin source cannot start from {text!r}",
            hint="cut the stream before it gets here, for example with `tail -n +1000`",
        )

    def _split(self, segment: Segment) -> Split:
        stream = f"stdin://{quote(self.context.pipeline, '')}/{segment.stream}"
        data = {
            "file": self._spool.path(segment).name,
            "stream": segment.stream,
            "offset": segment.offset,
            "line": segment.line,
        }
        return Split(self._key(segment.number), stream, segment.size, data)

    def _key(self, number: int) -> str:
        return f"stdin://{quote(self.context.pipeline, '')}#{number}"
