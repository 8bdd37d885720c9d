"""Gives the records of a carrier to decoders: those that belong together as one stream of lines.

A strand is the records of one log group, or of one part of an archive, and under `auto` those that look
alike: its decoder is chosen once, and what header lines said holds until the next.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ktrans.api import BytesPayload, Decoder, Limits, RejectError, Split
from ktrans.decoders.carriers.blocks import CarriedBlock, OwnBlock
from ktrans.decoders.carriers.messages import Bad, Item, Message, Origin, Run
from ktrans.decoders.carriers.said import Said
from ktrans.decoders.carriers.strand import (
    Strand,
    StrandPayload,
    aside,
    joined,
    looks,
    messages_at,
    total_of,
)
from ktrans.decoders.flow_rule import added
from ktrans.decoders.frames.block import Block, Refused

_HEAD_BYTES = 16 << 10
_HEAD_MESSAGES = 200
_ITEM_BYTES = 64
_MAX_STRANDS = 1000

Choose = Callable[[str, bytes, str | None], Decoder[Any]]
"""Returns the decoder for records: the object, the first records, and the layout if one is known."""


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
        self._strands: dict[Hashable, Strand] = {}

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
            strand = Strand()
            chosen, places = [messages[place] for place in members], starts[members]
            if self._chosen(strand, chosen, layout):
                assert strand.decoder is not None
                split = Split(self._uri, self._uri)
                payload = BytesPayload(split, joined(chosen))
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
        strand = self._strands.setdefault(key, Strand())
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
        widths, refused, others = aside(() if whole else items, len(items))
        together: list[tuple[Decoder[Any], list[int], list[Any]]] = []
        apart: list[tuple[Decoder[Any], int, list[Any]]] = []
        for key, members in groups.items():
            strand = self._strands.setdefault(key, Strand())
            chosen = messages_at(items, members)
            if not self._chosen(strand, chosen, None):
                refused.update(dict.fromkeys(members, strand.fault))
                continue
            assert strand.decoder is not None
            blocks = self._as_lines(strand, joined(chosen), len(chosen))
            if blocks is not None:
                together.append((strand.decoder, members, blocks))
                continue
            single, faults = self._one_by_one(strand, zip(members, chosen, strict=True))
            refused.update(faults)
            for place, found in single.items():
                widths[place] = max(1, total_of(found) or 1)
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
            said = Said.of(messages_at(items, members))
            for inner in blocks:
                yield CarriedBlock(decoder, inner, said, starts[members])
        for decoder, place, blocks in apart:
            item = items[place]
            assert isinstance(item, Message)
            for inner in blocks:
                yield CarriedBlock(decoder, inner, Said.of([item]), starts[[place]], single=True)

    def _chosen(self, strand: Strand, messages: Sequence[Message], layout: str | None) -> bool:
        """Choose a decoder, if there is none yet; return whether there is one."""
        if strand.decoder is None:
            try:
                head = joined(messages[:_HEAD_MESSAGES])
                strand.decoder, strand.fault = self._choose(self._uri, head, layout), None
            except RejectError as error:
                strand.fault = error
        return strand.decoder is not None

    def _as_lines(self, strand: Strand, data: bytes, number: int) -> list[Any] | None:
        """Cut records as lines of one stream; None if a record is not a line for the decoder."""
        decoder = strand.decoder
        assert decoder is not None
        if not decoder.line_records:
            return None
        strand.head = strand.head or data[:_HEAD_BYTES]
        payload = StrandPayload(self._uri, data, strand)
        read = decoder.blocks if strand.layout is None else decoder.replay
        given = () if strand.layout is None else (strand.layout,)
        blocks = self._tried(strand, read, payload, *given)
        if blocks is None or total_of(blocks) not in (None, number):
            return None
        strand.size += len(data)
        layout_of = getattr(decoder, "layout_of", None)
        for block in blocks:
            if layout_of is not None and block.layout is not None:
                strand.layout = layout_of(block) or strand.layout
        return blocks

    def _one_by_one(
        self, strand: Strand, messages: Iterable[tuple[int, Message]]
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
        self, strand: Strand, read: Callable[..., Iterator[Any]], *given: Any
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
