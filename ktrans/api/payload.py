r"""Splits name a piece of input; payloads hold its bytes.

>>> from ktrans.api import BytesPayload, Split
>>> payload = BytesPayload(Split(key="a.log", uri="file:///a.log"), b"one\ntwo\n")
>>> with payload.open() as stream:
...     stream.readline()
b'one\n'
>>> payload.head(3)
b'one'
"""

from __future__ import annotations

import abc
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from typing import Self

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict, nested."""


@dataclass(frozen=True, slots=True)
class Split:
    """The smallest unit that a source hands out. It is JSON and can be handed out again.

    Attributes:
        key: unique within the pipeline's history of this object (path, bucket/key, partition).
        uri: the name for people and for the `source_uri` column.
        size: bytes to read, if known; splits are grouped to tasks of about equal size.
        data: what the source needs to open exactly these bytes (version, offsets, fingerprint).
        rejected: whether it was rejected as a whole before; if it is again, there is no other reject.
    """

    key: str
    uri: str
    size: int | None = None
    data: Mapping[str, Json] = field(default_factory=dict)
    rejected: bool = False

    def to_json(self) -> dict[str, Json]:
        """Return the form that the state store keeps."""
        return {
            "key": self.key,
            "uri": self.uri,
            "size": self.size,
            "data": dict(self.data),
            "rejected": self.rejected,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Split:
        """Rebuild a split from `to_json`."""
        return cls(**value)


class Payload(abc.ABC):
    """The raw bytes of one split, as a source passes them to a decoder. Decoders decompress.

    Attributes:
        split: the split that was opened.
        offset: where the split begins in its object, in bytes. If it is not 0, `head` reads the
            object's first lines (a header).
        first_line: the 1-based line number of the split's first line in its object.
        final_attempt: no further bytes will come: instead of raising TruncatedError, decode what is
            there and reject the rest.
    """

    def __init__(self, split: Split, *, offset: int = 0, first_line: int = 1) -> None:
        self.split = split
        self.offset = offset
        self.first_line = first_line
        self.final_attempt = True

    @property
    def uri(self) -> str:
        """The split's `uri`."""
        return self.split.uri

    @abc.abstractmethod
    def open(self) -> BinaryIO:
        """Open the split's bytes from their start, as a new stream."""

    def head(self, size: int) -> bytes:
        """Read up to `size` bytes from the start of the *object* (not of the split)."""
        if self.offset:
            raise io.UnsupportedOperation("this payload cannot read the object's start")
        with self.open() as stream:
            return stream.read(size)

    def random_access(self) -> BinaryIO:
        """Open the whole object as a seekable stream, for formats such as Parquet."""
        with self.open() as stream:
            return io.BytesIO(stream.read())

    def verify(self) -> None:
        """Check, after all was read, that the bytes were those planned.

        Raises:
            SplitChangedError: the object was replaced meanwhile.
        """

    def close(self) -> None:
        """Release resources; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BytesPayload(Payload):
    """A payload in memory: small messages, tests, replayed rejects."""

    def __init__(self, split: Split, data: bytes, *, first_line: int = 1) -> None:
        super().__init__(split, first_line=first_line)
        self.data = data

    def open(self) -> BinaryIO:
        """Open the bytes."""
        return io.BytesIO(self.data)
