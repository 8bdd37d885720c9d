"""What decoders of JSON logs are given: records one a line, and what was refused on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from ktrans.api import Limits, Payload, reject_batch
from ktrans.decoders.frames.json_scan import one_line
from ktrans.kit.text.inflate import Problem, wait_for_more
from ktrans.kit.text.lines import SHOWN_BYTES, shortened

BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class JsonReject:
    """Something of a stream that is no record: where, why, and its bytes."""

    position: int
    reason: str
    raw: bytes
    detail: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class JsonBlock:
    """Records of one object.

    Attributes:
        uri: the object.
        data: the records, exactly one a line, each ended by a newline (the last one perhaps not);
            whether each is good JSON is for the decoder to find out.
        first_pos: 1-based ordinal of the first record in the object; for JSON lines without blank
            lines that is the line number.
        records: how many lines there are.
        rejects: what was found bad while cutting, behind these records.
    """

    uri: str
    data: bytes
    first_pos: int
    records: int
    rejects: tuple[JsonReject, ...] = ()

    @property
    def nbytes(self) -> int:
        """Size of the lines."""
        return len(self.data)


def reject_rows(
    block: JsonBlock, decoder: str, version: str, more: Iterable[JsonReject] = ()
) -> pa.RecordBatch | None:
    """Give a block's rejects, and those of its decoder, as a batch; None if there are none."""
    found = sorted([*more, *block.rejects], key=lambda reject: reject.position)
    if not found:
        return None
    return reject_batch(
        block.uri,
        [reject.position for reject in found],
        [reject.reason for reject in found],
        [reject.raw for reject in found],
        details=[reject.detail for reject in found],
        decoder=decoder,
        version=version,
        complete=[reject.complete for reject in found],
    )


class Cutter:
    """Counts positions, and makes blocks of what it is given."""

    def __init__(self, payload: Payload, limits: Limits) -> None:
        self.limits = limits
        self._payload = payload
        self._position = payload.first_line
        self._records: list[bytes] = []
        self._size = 0

    def lines(self, data: bytes, count: int) -> Iterator[JsonBlock]:
        """Give a block of lines that are ready as they are."""
        yield from self.flush()
        first, self._position = self._position, self._position + count
        yield JsonBlock(self._payload.uri, data, first, count)

    def record(self, text: bytes) -> Iterator[JsonBlock]:
        """Take a record, or what a decoder is to refuse as one."""
        record = one_line(text.strip(BLANK))
        if len(record) > self.limits.max_line_bytes:
            yield from self.refuse_long(record, len(record))
            return
        self._records.append(record)
        self._size += len(record) + 1
        if self._size >= self.limits.block_bytes:
            yield from self.flush()

    def flush(self) -> Iterator[JsonBlock]:
        """Give the records that have gathered."""
        if self._records:
            records, self._records, self._size = self._records, [], 0
            yield from self.lines(b"\n".join(records) + b"\n", len(records))

    def refuse(
        self, reason: str, raw: bytes, detail: str, *, complete: bool = True
    ) -> Iterator[JsonBlock]:
        """Take something that is no record."""
        yield from self.flush()
        raw, detail, whole = shortened(raw, detail, self.limits.max_line_bytes)
        reject = JsonReject(self._position, reason, raw, detail, whole and complete)
        yield JsonBlock(self._payload.uri, b"", self._position, 0, (reject,))
        self._position += 1

    def refuse_long(self, start: bytes, length: int) -> Iterator[JsonBlock]:
        """Take a record that is too long."""
        shown = start[: min(SHOWN_BYTES, self.limits.max_line_bytes)]
        detail = (
            f"a record of {length} bytes, where {self.limits.max_line_bytes} are allowed; "
            f"its first {len(shown)} bytes are kept"
        )
        yield from self.refuse("line_too_long", shown, detail)

    def refuse_torn(self, torn: bytes, problem: Problem) -> Iterator[JsonBlock]:
        """Take what is left of a stream that broke off.

        Raises:
            TruncatedError: more may still come.
        """
        wait_for_more(self._payload, problem)
        yield from self.refuse(problem.reason, torn, problem.message)
