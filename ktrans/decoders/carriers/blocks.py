"""The blocks of an object that carries records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ktrans.api import Decoder
from ktrans.decoders.carriers.messages import Message
from ktrans.decoders.carriers.said import Said
from ktrans.decoders.frames.block import Block


class CarriedBlock(msgspec.Struct, frozen=True):
    """A block of records that were in a carrier.

    Attributes:
        decoder: reads it.
        inner: its block.
        said: what the carrier says about the messages.
        starts: the position of each message in the object.
        single: whether all records of the block are of one message.
    """

    decoder: Decoder[Any]
    inner: Any
    said: Said
    starts: np.ndarray
    single: bool = False

    @property
    def nbytes(self) -> int:
        """Size of the block."""
        return int(self.inner.nbytes)

    def places(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return message and position in the object of records, by their positions in the block's text."""
        if self.single:
            return np.zeros(len(positions), np.int64), self.starts[0] + positions - 1
        index = np.clip(positions - 1, 0, len(self.starts) - 1)
        return index, self.starts[index]


class OwnBlock(msgspec.Struct, frozen=True):
    """Parts of a carrier that no decoder reads.

    Attributes:
        block: what was refused and what is not a record.
        said: what the carrier says about the refused ones, None for each that is no record.
    """

    block: Block
    said: Sequence[Message | None]

    @property
    def nbytes(self) -> int:
        """Size of the block."""
        return self.block.nbytes
