"""Gives the records of a carrier to decoders: those that belong together as one stream of lines.

A strand is the records of one log group, or of one part of an archive, and under `auto` those that look
alike: its decoder is chosen once, and what header lines said holds until the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ktrans.api import BytesPayload, Decoder, Limits, RejectError, Split
from ktrans.decoders.carriers.blocks import CarriedBlock, OwnBlock
from ktrans.decoders.carriers.messages import Bad, Item, Message, Origin, Other, Run
from ktrans.decoders.carriers.said import Said
from ktrans.decoders.flow_rule import added
from ktrans.decoders.frames.block import Block, Refused

_HEAD_BYTES = 16 << 10
_HEAD_MESSAGES = 200
_ITEM_BYTES = 64
_MAX_STRANDS = 1000
_FIRST_KEY = re.compile(rb'\{\s*"([^"\\]{0,100})"')

Choose = Callable[[str, bytes, str | None], Decoder[Any]]
"""Returns the decoder for records: the object, the first records, and the layout if one is known."""


@dataclass(slots=True)
class _Strand:
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


class _StrandPayload(BytesPayload):
    """Some more records of a strand; its head are the first ones."""

    def __init__(self, uri: str, data: bytes, strand: _Strand) -> None:
        super().__init__(Split(uri, uri), data)
        self.offset = strand.size
        self._head = strand.head

    def head(self, size: int) -> bytes:
        """Return the first records of the strand."""
        return self._head[:size] if self.offset else self.data[:size]


class Strands:
    """Cuts the items of one object into blocks.

    Args:
        uri: the object.
        first: position of its first item.
        limits: sizes of blocks.
        choose: chooses decoders.
        by_looks: whether records that look different may need different decoders.
    """

    def __init__(
        self, uri: str, first: int, limits: Limits, choose: Choose, *, by_looks: bool
    ) -> None:
        self._uri = uri
        self._position = first
        self._limits = limits
        self._choose = choose
        self._by_looks = by_looks
        self._strands: dict[Hashable, _Strand] = {}

    def blocks(self, items: Iterator[Item | Run]) -> Iterator[CarriedBlock | OwnBlock]:
        """Cut all items into blocks.

        Raises:
            RejectError: there is no decoder for any record of a small object.
        """
        window: list[Item | Run] = []
        size, first = 0, True
        for item in items:
            window.append(item)
            if isinstance(item, Run):
                size += (_ITEM_BYTES - 1) * len(item.ids) + len(item.lines)
            else:
                size += _ITEM_BYTES + (len(item.text) if isinstance(item, Message) else 0)
            if size >= self._limits.block_bytes:
                yield from self._of_window(window)
                window, size, first = [], 0, False
        last = list(self._of_window(window))
        if first:
            strands = self._strands.values()
            if strands and all(strand.fault is not None for strand in strands):
                raise next(strand.fault for strand in strands if strand.fault is not None)
        yield from last

    def replay(
        self, messages: Sequence[Message], layout: str | None
    ) -> Iterator[CarriedBlock | OwnBlock]:
        """Cut rejected records of a layout into blocks; positions are their places from 1."""
        starts = np.arange(1, len(messages) + 1)
        for members in self._groups(messages).values():
            strand = _Strand()
            chosen, places = [messages[place] for place in members], starts[members]
            if self._chosen(strand, chosen, layout):
                assert strand.decoder is not None
                split = Split(self._uri, self._uri)
                payload = BytesPayload(split, _joined(chosen))
                blocks = self._tried(strand, strand.decoder.replay, payload, layout)
                if blocks is not None:
                    for inner in blocks:
                        yield CarriedBlock(strand.decoder, inner, Said.of(chosen), places)
                    continue
            yield self._own([(chosen[n], strand.fault) for n in range(len(chosen))], places)

    def _groups(self, items: Sequence[Item]) -> dict[Hashable, list[int]]:
        """Return the places of the messages of each strand."""
        groups: dict[Hashable, list[int]] = {}
        origin: Origin | None = None
        members: list[int] = []
        for place, item in enumerate(items):
            if isinstance(item, Message):
                if item.origin is origin and not self._by_looks:
                    members.append(place)
                    continue
                origin = item.origin
                key: Hashable = (item.origin.group, item.origin.part)
                if self._by_looks:
                    key = (key, looks(item.text))
                if key not in groups and len(groups) + len(self._strands) > _MAX_STRANDS:
                    key = None
                members = groups.setdefault(key, [])
                members.append(place)
        return groups

    def _of_window(self, window: Sequence[Item | Run]) -> Iterable[CarriedBlock | OwnBlock]:
        """Cut some items and runs into blocks."""
        runs = [each for each in window if isinstance(each, Run)]
        if runs and len(runs) == len(window):
            blocks = self._joined_runs(runs)
            if blocks is not None:
                return blocks
        items: list[Item] = []
        for each in window:
            if isinstance(each, Run):
                items += each.messages()
            else:
                items.append(each)
        return self._cut(items)

    def _joined_runs(self, runs: Sequence[Run]) -> list[CarriedBlock] | None:
        """Return the blocks of runs of one log group; None if they need a closer look."""
        key, *others = {(run.origin.group, run.origin.part) for run in runs}
        if others or self._by_looks or len(self._strands) > _MAX_STRANDS:
            return None
        strand = self._strands.setdefault(key, _Strand())
        if strand.decoder is None and not self._chosen(strand, runs[0].messages(), None):
            return None
        assert strand.decoder is not None
        number = sum([len(run.ids) for run in runs])
        blocks = self._as_lines(strand, b"".join([run.lines for run in runs]), number)
        if blocks is None:
            return None
        starts = np.arange(self._position, self._position + number)
        self._position += number
        said = Said.of_runs(runs)
        return [CarriedBlock(strand.decoder, inner, said, starts) for inner in blocks]

    def _cut(self, items: list[Item]) -> Iterator[CarriedBlock | OwnBlock]:
        """Cut some items, and count their positions."""
        groups = self._groups(items)
        whole = sum(map(len, groups.values())) == len(items)
        widths, refused, others = _aside(() if whole else items, len(items))
        together: list[tuple[Decoder[Any], list[int], list[Any]]] = []
        apart: list[tuple[Decoder[Any], int, list[Any]]] = []
        for key, members in groups.items():
            strand = self._strands.setdefault(key, _Strand())
            chosen = _messages(items, members)
            if not self._chosen(strand, chosen, None):
                refused.update(dict.fromkeys(members, strand.fault))
                continue
            assert strand.decoder is not None
            blocks = self._as_lines(strand, _joined(chosen), len(chosen))
            if blocks is not None:
                together.append((strand.decoder, members, blocks))
                continue
            single, faults = self._one_by_one(strand, zip(members, chosen, strict=True))
            refused.update(faults)
            for place, found in single.items():
                widths[place] = max(1, _total(found) or 1)
                apart.append((strand.decoder, place, found))
        starts = self._position + np.cumsum(widths) - widths
        self._position += int(widths.sum())
        skipped = sum(item.number for item in others)
        foreign = added(*({item.name: item.number} for item in others if item.name))
        if refused or skipped:
            places = sorted(refused)
            parts = [(items[place], refused[place]) for place in places]
            yield self._own(parts, starts[places], skipped, foreign)
        for decoder, members, blocks in together:
            said = Said.of(_messages(items, members))
            for inner in blocks:
                yield CarriedBlock(decoder, inner, said, starts[members])
        for decoder, place, blocks in apart:
            item = items[place]
            assert isinstance(item, Message)
            for inner in blocks:
                yield CarriedBlock(decoder, inner, Said.of([item]), starts[[place]], single=True)

    def _chosen(self, strand: _Strand, messages: Sequence[Message], layout: str | None) -> bool:
        """Choose a decoder, if there is none yet; return whether there is one."""
        if strand.decoder is None:
            try:
                head = _joined(messages[:_HEAD_MESSAGES])
                strand.decoder, strand.fault = self._choose(self._uri, head, layout), None
            except RejectError as error:
                strand.fault = error
        return strand.decoder is not None

    def _as_lines(self, strand: _Strand, data: bytes, number: int) -> list[Any] | None:
        """Cut records as lines of one stream; None if a record is not a line for the decoder."""
        decoder = strand.decoder
        assert decoder is not None
        if not decoder.line_records:
            return None
        strand.head = strand.head or data[:_HEAD_BYTES]
        payload = _StrandPayload(self._uri, data, strand)
        read = decoder.blocks if strand.layout is None else decoder.replay
        given = () if strand.layout is None else (strand.layout,)
        blocks = self._tried(strand, read, payload, *given)
        if blocks is None or _total(blocks) not in (None, number):
            return None
        strand.size += len(data)
        layout_of = getattr(decoder, "layout_of", None)
        for block in blocks:
            if layout_of is not None and block.layout is not None:
                strand.layout = layout_of(block) or strand.layout
        return blocks

    def _one_by_one(
        self, strand: _Strand, messages: Iterable[tuple[int, Message]]
    ) -> tuple[dict[int, list[Any]], dict[int, RejectError | None]]:
        """Cut each record; return the blocks of each, and why the decoder refuses others."""
        assert strand.decoder is not None
        found: dict[int, list[Any]] = {}
        refused: dict[int, RejectError | None] = {}
        for place, message in messages:
            payload = BytesPayload(Split(self._uri, self._uri), message.text + b"\n")
            blocks = self._tried(strand, strand.decoder.blocks, payload)
            if blocks is None:
                refused[place], strand.fault = strand.fault, None
            else:
                found[place] = blocks
        return found, refused

    def _tried(
        self, strand: _Strand, read: Callable[..., Iterator[Any]], *given: Any
    ) -> list[Any] | None:
        """Return the blocks of a payload; None if the decoder refuses it."""
        try:
            return list(read(*given))
        except RejectError as error:
            strand.fault = error
            return None

    def _own(
        self,
        parts: Sequence[tuple[Item, RejectError | None]],
        starts: np.ndarray,
        skipped: int = 0,
        foreign: Mapping[str, int] | None = None,
    ) -> OwnBlock:
        """Return a block of what no decoder reads."""
        refused = []
        for (item, fault), position in zip(parts, starts.tolist(), strict=True):
            if isinstance(item, Bad):
                each = Refused(position, item.reason, item.raw, item.detail, item.complete)
            else:
                assert isinstance(item, Message)
                code = "unknown_format" if fault is None else fault.code
                detail = str(fault).removeprefix(f"{self._uri}: ")
                each = Refused(position, code, item.text, detail)
            refused.append(each)
        said = [item if isinstance(item, Message) else None for item, _ in parts]
        first = int(starts[0]) if len(starts) else self._position
        block = Block(
            self._uri, first, skipped=skipped, foreign=foreign or {}, refused=tuple(refused)
        )
        return OwnBlock(block, said)


def _aside(
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


def _messages(items: list[Item], members: list[int]) -> list[Message]:
    """Return the messages at some places."""
    chosen = items if len(members) == len(items) else [items[place] for place in members]
    return cast("list[Message]", chosen)


def looks(text: bytes) -> Hashable:
    """Return what records of one log have in common: the first key, or the number of words."""
    if text.startswith(b"{"):
        found = _FIRST_KEY.match(text)
        return b"" if found is None else found[1]
    return len(text.split())


def _joined(messages: Sequence[Message]) -> bytes:
    return b"\n".join([each.text for each in messages]) + b"\n"


def _total(blocks: Sequence[Any]) -> int | None:
    """Return how many records blocks have, if they say so."""
    counts = [getattr(block, "total", None) for block in blocks]
    return None if None in counts else sum(counts)  # type: ignore[arg-type]
