"""Collects JSON records into blocks of one record a line."""

from __future__ import annotations

from collections.abc import Iterator

from ktrans.api import Limits, Payload
from ktrans.decoders.frames.block import Block, Refused
from ktrans.decoders.frames.json_scan import one_line
from ktrans.kit.text.inflate import Problem, wait_for_more
from ktrans.kit.text.lines import SHOWN_BYTES, shortened

BLANK = b" \t\r\n"


class Cutter:
    """Makes blocks of the records of one object, and counts their positions."""

    def __init__(self, payload: Payload, limits: Limits) -> None:
        self.limits = limits
        self._payload = payload
        self._position = payload.first_line
        self._records: list[bytes] = []
        self._size = 0

    def lines(self, data: bytes, count: int) -> Iterator[Block]:
        """Yield a block of lines that each hold one record already."""
        yield from self.flush()
        first, self._position = self._position, self._position + count
        yield Block(self._payload.uri, first, count, data)

    def record(self, text: bytes) -> Iterator[Block]:
        """Add a record; whether it is valid JSON shows when it is decoded."""
        record = one_line(text.strip(BLANK))
        if len(record) > self.limits.max_line_bytes:
            yield from self.refuse_long(record, len(record))
            return
        self._records.append(record)
        self._size += len(record) + 1
        if self._size >= self.limits.block_bytes:
            yield from self.flush()

    def flush(self) -> Iterator[Block]:
        """Yield a block of the records that were added."""
        if self._records:
            records, self._records, self._size = self._records, [], 0
            yield from self.lines(b"\n".join(records) + b"\n", len(records))

    def refuse(
        self, reason: str, raw: bytes, detail: str, *, complete: bool = True
    ) -> Iterator[Block]:
        """Yield a block for a part of the object that is not a record."""
        yield from self.flush()
        raw, detail, whole = shortened(raw, detail, self.limits.max_line_bytes)
        refused = Refused(self._position, reason, raw, detail, whole and complete)
        yield Block(self._payload.uri, self._position, refused=(refused,))
        self._position += 1

    def refuse_long(self, start: bytes, length: int) -> Iterator[Block]:
        """Refuse a record that is too long."""
        shown = start[: min(SHOWN_BYTES, self.limits.max_line_bytes)]
        detail = (
            f"a record of {length} bytes, where {self.limits.max_line_bytes} are allowed; "
            f"its first {len(shown)} bytes are kept"
        )
        yield from self.refuse("line_too_long", shown, detail)

    def refuse_torn(self, torn: bytes, problem: Problem) -> Iterator[Block]:
        """Refuse the end of a stream that broke off.

        Raises:
            TruncatedError: more may still come.
        """
        wait_for_more(self._payload, problem)
        yield from self.refuse(problem.reason, torn, problem.message)
