"""The chain: takes the records of an object out of all that is around them.

A carrier is recognised by the first bytes of an object. Each layer is taken off, down to records, whose decoder
follows in `strands.py`; an object that is no carrier is left to its decoder as it is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from ktrans.api import BytesPayload, Decoder, Limits, Payload, RejectError, Split
from ktrans.decoders.carriers import envelopes, lines
from ktrans.decoders.carriers.json_head import json_carrier
from ktrans.decoders.carriers.log_events import MARK, plain_events
from ktrans.decoders.carriers.messages import (
    NOWHERE,
    Bad,
    Item,
    Message,
    Origin,
    Other,
    Run,
    with_said,
)
from ktrans.decoders.carriers.parts import PartReader
from ktrans.decoders.carriers.peek import HEAD_BYTES, Peeked
from ktrans.decoders.frames.json import cut_json
from ktrans.decoders.frames.json_scan import one_line
from ktrans.decoders.read.raw_columns import Path
from ktrans.kit.text.inflate import (
    codec_of,
    inflate_head,
)
from ktrans.kit.text.json_errors import UNREADABLE_JSON
from ktrans.kit.text.lines import shortened
from ktrans.kit.text.magic import AVRO_MAGIC, PARQUET_MAGIC, ZIP_MAGIC

MAX_DEPTH = 5
"""How many carriers may be around each other."""
DOCUMENT_LINES = 16
"""A JSON document that carries records may be as long as so many lines."""

_CONTAINERS = (ZIP_MAGIC, AVRO_MAGIC, PARQUET_MAGIC)
_NAMES = tuple(name.encode() for name in envelopes.TEXT_KEYS)
_QUOTES = b'" \r'
_BLANK = b"\xef\xbb\xbf \t\r\n"


class Chain:
    """The carriers around the records of one object.

    Args:
        decoder: whose records are looked for.
        payload: the object.
        limits: sizes of records, and how far they may inflate.
        chooses: whether the decoder chooses another one by the first bytes of what it is given, so
            that its word on a single record costs more.
    """

    def __init__(
        self, decoder: Decoder[Any], payload: Peeked, limits: Limits, *, chooses: bool
    ) -> None:
        self._decoder = decoder
        self._chooses = chooses
        self._is_record = _never if chooses else decoder.is_record
        self._payload = payload
        self._limits = limits
        self._refused = False
        self._longer = replace(limits, max_line_bytes=DOCUMENT_LINES * limits.max_line_bytes)
        self._reader = PartReader(payload, limits)

    def items(self) -> Iterator[Item | Run] | None:
        """Return what the carriers hold; None if the object is no carrier."""
        return self._opened(self._payload, self._payload.object_head(), NOWHERE, 0)

    def items_after(self, error: RejectError) -> Iterator[Item | Run]:
        """Return what a Parquet file carries that the decoder does not know.

        Raises:
            RejectError: the one that the decoder raised, if the file carries no records.
        """
        self._refused = True
        items = self.items()
        if items is None:
            raise error
        return items

    # -- objects ------------------------------------------------------------------------------

    def _opened(
        self, payload: Payload, raw_head: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run] | None:
        """Return what an object carries; None if it is no carrier."""
        head = inflate_head(raw_head, HEAD_BYTES)
        if head.startswith(_CONTAINERS):
            if head[:4] != raw_head[:4]:
                payload = self._reader.inflated_whole(payload)
            return self._container(payload, head, origin, depth)
        text = head.lstrip(_BLANK)
        if text.startswith((b"{", b"[")):
            key = json_carrier(text, self._decoder, self._is_record, chooses=self._chooses)
            return (
                None
                if key is None
                else self._documents(payload, ((key,),) * bool(key), origin, depth)
            )
        return self._text_carrier(payload, text, origin, depth)

    def _container(
        self, payload: Payload, head: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run] | None:
        """Return what an archive or a container of records carries; None if it is left to the decoder."""
        if head.startswith((ZIP_MAGIC, AVRO_MAGIC)):
            from ktrans.decoders.carriers import containers

            if head.startswith(ZIP_MAGIC):
                return containers.archived(payload, self, origin, depth + 1)
            return containers.in_avro(payload, self, origin, depth + 1)
        from ktrans.decoders.carriers import columns

        if payload is self._payload and not self._refused and columns.may_read(self._decoder):
            return None
        parts = columns.rows_of(payload, self._decoder)
        return None if parts is None else self._parts(parts, origin, depth + 1)

    def _parts(
        self, parts: Iterable[envelopes.Part | Bad], origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        for part in parts:
            if isinstance(part, Bad):
                yield part
            else:
                yield from self._part_of_document(part, origin, depth)

    def nested(self, raw: bytes, origin: Origin, depth: int) -> Iterator[Item | Run]:
        """Yield what bytes within a record carry: another carrier, or lines of records."""
        split = Split(self._payload.uri, self._payload.uri)
        payload = BytesPayload(split, raw)
        yield from self.part(payload, raw[:HEAD_BYTES], origin, depth)

    def part(
        self, payload: Payload, raw_head: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        """Yield what a part of an object carries; lines of records if it is no carrier."""
        try:
            found = None
            if depth <= MAX_DEPTH:
                found = self._opened(payload, raw_head, origin, depth)
            if found is None:
                found = self._plain(payload, raw_head, origin)
            yield from found
        except RejectError as error:
            if error.code == "inflate_ratio":
                raise
            yield Bad(error.code, b"", str(error), complete=False)

    def _plain(self, payload: Payload, raw_head: bytes, origin: Origin) -> Iterator[Item | Run]:
        """Yield the records of a part that is no carrier."""
        text = inflate_head(raw_head, HEAD_BYTES).lstrip(_BLANK)
        if text.startswith((b"{", b"[")):
            yield from self._documents(payload, (), origin, MAX_DEPTH + 1)
            return
        if text.startswith(_CONTAINERS):
            detail = "a container of records inside something else, which is not read there"
            yield Bad("unknown_format", b"", detail, complete=False)
            return
        for line, bad in self._reader.lines(payload):
            if bad is not None:
                yield bad
            elif line.strip():
                yield Message(line, origin)
            else:
                yield Other()

    # -- text ---------------------------------------------------------------------------------

    def _text_carrier(
        self, payload: Payload, text: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run] | None:
        """Return what lines carry; None if they are records."""
        first = text.partition(b"\n")[0]
        if b"," in first or b"\t" in first or b";" in first or first.strip(_QUOTES) in _NAMES:
            from ktrans.decoders.carriers import delimited

            found = delimited.message_columns(first)
            if found is not None and not self._is_record(dict.fromkeys(found[1])):
                rows = delimited.rows_of(self._reader.lines(payload), *found)
                return self._parts(rows, origin, depth + 1)
        taker = lines.line_carrier(text)
        return None if taker is None else self._taken(payload, taker, origin, depth + 1)

    def _taken(
        self, payload: Payload, taker: lines.LineCarrier, origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        """Yield what lines carry."""
        for line, bad in self._reader.lines(payload):
            if bad is None:
                yield from self._parts(taker.take(line), origin, depth)
            else:
                yield from self._parts(taker.end(), origin, depth)
                yield bad
        yield from self._parts(taker.end(), origin, depth)

    # -- JSON ---------------------------------------------------------------------------------

    def _documents(
        self, payload: Payload, keys: tuple[Path, ...], origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        """Yield what JSON documents carry."""
        inflating = self._reader.inflater(payload)
        for block in cut_json(payload, self._longer, unwrap=keys, inflater=inflating):
            if block.records:
                for line in block.data.removesuffix(b"\n").split(b"\n"):
                    yield from self.document(line, origin, depth)
            for each in block.refused:
                yield Bad(each.reason, each.raw, each.detail, each.complete)

    def document(self, line: bytes, origin: Origin, depth: int) -> Iterator[Item | Run]:
        """Yield what one JSON document carries, or the document itself."""
        text = line.strip(_BLANK)
        if not text.startswith((b"{", b"[")):
            yield from self.text(line, Message(b"", origin), depth)
            return
        try:
            value, items = self._decoded(text, origin, depth)
        except UNREADABLE_JSON as error:
            yield self._bad("bad_json", text, str(error))
            return
        yield from self._unopened(value, text, origin, depth) if items is None else items

    def _inner_document(
        self, text: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run] | None:
        """Return what a text within a carrier holds; None if it is no JSON that the decoder might read."""
        try:
            value, items = self._decoded(text, origin, depth)
        except UNREADABLE_JSON:
            return None
        if items is None and self._decoder.json_records:
            return self._unopened(value, text, origin, depth)
        return items

    def _decoded(
        self, text: bytes, origin: Origin, depth: int
    ) -> tuple[Any, Iterator[Item | Run] | None]:
        """Return a JSON document, and what it carries; None if it is no carrier."""
        if depth > MAX_DEPTH:
            return msgspec.json.decode(text), None
        plain = plain_events(text, origin) if MARK in text else None
        if plain is not None:
            return None, iter([plain])
        value = msgspec.json.decode(text)
        parts = envelopes.open_envelope(value, self._is_record)
        return value, None if parts is None else self._opened_parts(parts, origin, depth)

    def _opened_parts(
        self, parts: Iterator[envelopes.Part], origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        """Yield what the parts of an envelope carry."""
        for part in parts:
            message = part.plain_message(origin)
            if message is not None:
                yield message
            else:
                yield from self._part_of_document(part, origin, depth + 1)

    def _unopened(
        self, value: Any, text: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        """Yield a JSON value that is no envelope, whose text is given, or the elements of a list."""
        if isinstance(value, list):
            for each in value:
                yield from self.document(envelopes.as_json(each), origin, depth + 1)
        elif depth or self._decoder.json_records:
            yield Message(one_line(text), origin)
        else:
            detail = (
                "a JSON object without a log record in it: neither logEvents nor message, log, ..."
            )
            yield self._bad("bad_json", text, detail)

    def _part_of_document(
        self, part: envelopes.Part, outer: Origin, depth: int
    ) -> Iterator[Item | Run]:
        origin = part.origin.within(outer)
        if part.kind == "other":
            yield Other(part.value)
        elif part.kind == "control":
            yield Other(part.value, "control message")
        elif part.kind == "bad":
            yield self._bad(
                "bad_json", envelopes.as_json(part.value), "a log event without a text message"
            )
        elif part.kind == "record":
            yield from self.document(envelopes.as_json(part.value), origin, depth)
        elif part.kind == "packed":
            try:
                raw = base64.b64decode(part.value, validate=True)
            except (binascii.Error, ValueError):
                raw = part.value.encode("utf-8", "replace")
            yield from self.nested(raw, origin, depth)
        else:
            text = part.value.encode("utf-8", "replace")
            yield from self.text(text, Message(b"", origin, part.id, part.micros), depth)

    def text(self, text: bytes, said: Message, depth: int) -> Iterator[Item | Run]:
        """Yield the record that a carrier holds as text, which may be a carrier itself.

        Args:
            text: the record.
            said: what the carrier says about it.
            depth: how many carriers are around it.
        """
        text = text.strip(_BLANK)
        if not text:
            yield Other()
        elif codec_of(text) == "base64":
            yield from self.nested(text, said.origin, depth)
        elif (
            text.startswith((b"{", b"["))
            and depth <= MAX_DEPTH
            and (items := self._inner_document(text, said.origin, depth)) is not None
        ):
            for item in items:
                yield with_said(item, said)
        elif b"\n" in text or b"\r" in text:
            yield said._replace(text=b" ".join(text.splitlines()))
        else:
            yield said._replace(text=text)

    def _bad(self, reason: str, raw: bytes, detail: str) -> Bad:
        raw, detail, complete = shortened(raw, detail, self._limits.max_line_bytes)
        return Bad(reason, one_line(raw), detail, complete)


def _never(value: Mapping[str, Any]) -> bool:
    del value
    return False
