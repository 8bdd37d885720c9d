"""A strand: the records of an object that one decoder reads as one stream of lines."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ktrans.api import BytesPayload, Decoder, RejectError, Split
from ktrans.decoders.carriers.messages import Bad, Item, Message, Other

_FIRST_KEY = re.compile(rb'\{\s*"([^"\\]{0,100})"')


@dataclass(slots=True)
class Strand:
    """Records that belong together.

    Attributes:
        decoder: reads them; None until it is chosen, or if there is none.
        fault: why there is none.
        head: the first of them.
        size: bytes so far.
        layout: what a header line said about the following ones.
    """

    decoder: Decoder[Any] | None = None
    fault: RejectError | None = None
    head: bytes = b""
    size: int = 0
    layout: str | None = None


class StrandPayload(BytesPayload):
    """Some more records of a strand; its head are the first ones."""

    def __init__(self, uri: str, data: bytes, strand: Strand) -> None:
        super().__init__(Split(uri, uri), data)
        self.offset = strand.size
        self._head = strand.head

    def head(self, size: int) -> bytes:
        """Return the first records of the strand."""
        return self._head[:size] if self.offset else self.data[:size]


def aside(
    items: Sequence[Item], number: int
) -> tuple[np.ndarray, dict[int, RejectError | None], list[Other]]:
    """Return how many records each item stands for, which are refused, and which are no records."""
    widths = np.ones(number, np.int64)
    refused: dict[int, RejectError | None] = {}
    others: list[Other] = []
    for place, item in enumerate(items):
        if isinstance(item, Other):
            widths[place] = item.number
            others.append(item)
        elif isinstance(item, Bad):
            refused[place] = None
    return widths, refused, others


def messages_at(items: list[Item], members: list[int]) -> list[Message]:
    """Return the messages at some places."""
    chosen = items if len(members) == len(items) else [items[place] for place in members]
    return cast("list[Message]", chosen)


def looks(text: bytes) -> Hashable:
    """Return what records of one log have in common: the first key, or the number of words."""
    if text.startswith(b"{"):
        found = _FIRST_KEY.match(text)
        return b"" if found is None else found[1]
    return len(text.split())


def joined(messages: Sequence[Message]) -> bytes:
    return b"\n".join([each.text for each in messages]) + b"\n"


def total_of(blocks: Sequence[Any]) -> int | None:
    """Return how many records blocks have, if they say so."""
    counts = [getattr(block, "total", None) for block in blocks]
    return None if None in counts else sum(counts)  # type: ignore[arg-type]
