"""Payloads: the bytes of one split, as a source hands them to a decoder."""

from __future__ import annotations

import abc
import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ktrans.api.source import Split


class Payload(abc.ABC):
    """The raw bytes of one split; decompression is the decoder's business.

    Attributes:
        split: what was opened.
        offset: where the split begins in its object, in bytes. When it is not 0 the object's first
            lines (a header) are to be had by `head`.
        first_line: the 1-based line number of the split's first line in its object.
        final_attempt: True when nothing is gained by raising TruncatedError: the engine has tried
            often enough, or there can be no more bytes. Decode what is there, reject the rest.
    """

    def __init__(self, split: Split, *, offset: int = 0, first_line: int = 1) -> None:
        self.split = split
        self.offset = offset
        self.first_line = first_line
        self.final_attempt = True

    @property
    def uri(self) -> str:
        """What the `source_uri` column and messages say."""
        return self.split.uri

    @abc.abstractmethod
    def open(self) -> BinaryIO:
        """Open the split's bytes from their start, as a new unbuffered or buffered stream."""

    def head(self, size: int) -> bytes:
        """Read up to `size` bytes from the start of the *object* (not of the split)."""
        if self.offset:
            raise io.UnsupportedOperation("this payload cannot reach back to the object's start")
        with self.open() as stream:
            return stream.read(size)

    def random_access(self) -> BinaryIO:
        """Open the whole object as a seekable stream, for formats such as Parquet."""
        with self.open() as stream:
            return io.BytesIO(stream.read())

    def verify(self) -> None:
        """Check, once all was read, that the bytes were those planned.

        Raises:
            SplitChangedError: the object was replaced under the reader.
        """

    def close(self) -> None:
        """Let go of resources; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BytesPayload(Payload):
    """A payload whose bytes are already in memory: small messages, tests, replayed rejects."""

    def __init__(self, split: Split, data: bytes, *, first_line: int = 1) -> None:
        super().__init__(split, first_line=first_line)
        self.data = data

    def open(self) -> BinaryIO:
        """Open the bytes."""
        return io.BytesIO(self.data)
