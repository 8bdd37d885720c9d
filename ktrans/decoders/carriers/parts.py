"""Reads the bytes of an object and of the parts in it, within one limit on how far they inflate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ktrans.api import BytesPayload, Limits, Payload, RejectError, Split
from ktrans.decoders.carriers.messages import Bad
from ktrans.decoders.carriers.peek import Peeked
from ktrans.kit.text.inflate import RATIO_FREE_BYTES, Inflater, wait_for_more
from ktrans.kit.text.lines import Lines, Overlong, whole_lines


class PartReader:
    """Reads an object and its parts.

    Args:
        payload: the object.
        limits: on lines, and on how far all parts may inflate together.
    """

    def __init__(self, payload: Peeked, limits: Limits) -> None:
        self._payload = payload
        self._limits = limits
        self._inflated = 0

    def inflater(self, payload: Payload) -> Inflater:
        """Return the bytes of an object or a part, within the limit of the whole object."""
        inner = payload is not self._payload
        return _Counted(payload, self._limits, self.spent if inner else None)

    def inflated_whole(self, payload: Payload) -> Payload:
        """Return an object that only makes sense as a whole, inflated."""
        inflater = self.inflater(payload)
        data = b"".join(inflater.chunks())
        if inflater.problem is not None:
            wait_for_more(payload, inflater.problem)
        return BytesPayload(Split(payload.uri, payload.uri), data)

    def spent(self, size: int) -> None:
        """Count bytes that a part of the object inflated to.

        Raises:
            RejectError: all parts together exceed `max_inflate_ratio`.
        """
        self._inflated += size
        ratio = self._limits.max_inflate_ratio
        if self._inflated > max(RATIO_FREE_BYTES, ratio * self._payload.bytes_read):
            raise RejectError(
                f"{self._payload.uri}: what is packed in it inflates to more than {ratio} times "
                f"its size",
                code="inflate_ratio",
                hint="raise limits.max_inflate_ratio if the object is known to be harmless",
            )

    def lines(self, payload: Payload) -> Iterator[tuple[bytes, Bad | None]]:
        """Yield the lines of an object, or what is wrong with some."""
        inflater = self.inflater(payload)
        for piece in whole_lines(payload, inflater, self._limits):
            if isinstance(piece, Lines):
                for line in piece.data.removesuffix(b"\n").split(b"\n"):
                    yield line.rstrip(b"\r"), None
            elif isinstance(piece, Overlong):
                detail = f"a line of {piece.length} bytes"
                yield b"", Bad("line_too_long", piece.start, detail, complete=False)
            else:
                yield (
                    b"",
                    Bad(piece.problem.reason, piece.data, piece.problem.message, complete=False),
                )


class _Counted(Inflater):
    """Inflates a part of an object, and says how many bytes it inflated to."""

    def __init__(
        self, payload: Payload, limits: Limits, spent: Callable[[int], None] | None
    ) -> None:
        super().__init__(payload.open, limits, payload.uri)
        self._spent = spent

    def chunks(self) -> Iterator[bytes]:
        """Return the inflated bytes, piece by piece."""
        for piece in super().chunks():
            if self._spent is not None:
                self._spent(len(piece))
            yield piece
