"""Takes the parts out of archives and containers of Avro records, which are read as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ktrans.api import Payload, RejectError
from ktrans.decoders.carriers import archive, avro
from ktrans.decoders.carriers.messages import Bad, Item, Message, Origin, Run, moment, with_said
from ktrans.decoders.carriers.peek import HEAD_BYTES
from ktrans.kit.text.inflate import wait_for_more

_LONGEST_BLOCK = 64 << 20


class Layers(Protocol):
    """Opens what is inside a container: the chain."""

    def part(
        self, payload: Payload, raw_head: bytes, origin: Origin, depth: int
    ) -> Iterator[Item | Run]:
        """Yield what a part of an object carries."""

    def nested(self, raw: bytes, origin: Origin, depth: int) -> Iterator[Item | Run]:
        """Yield what bytes within a record carry."""


def archived(payload: Payload, layers: Layers, origin: Origin, depth: int) -> Iterator[Item | Run]:
    """Yield what the members of an archive carry."""
    for number, member in enumerate(archive.members(payload), 1):
        inner = origin._replace(part=f"{origin.part or ''}/{number}")
        try:
            with member.open() as stream:
                head = stream.read(HEAD_BYTES)
            yield from layers.part(member, head, inner, depth)
        except archive.UNREADABLE as error:
            name = member.info.filename
            yield Bad("corrupt_stream", b"", f"{name} in the archive: {error}", complete=False)


def in_avro(payload: Payload, layers: Layers, origin: Origin, depth: int) -> Iterator[Item | Run]:
    """Yield what the bodies of Avro records carry."""
    with payload.open() as stream:
        reader = avro.Reader(stream, _LONGEST_BLOCK)
        try:
            for body in reader.bodies():
                said = Message(b"", origin, micros=moment(body.time))
                for item in layers.nested(body.data, origin, depth):
                    yield with_said(item, said)
        except avro.Unreadable as error:
            raise RejectError(f"{payload.uri}: Avro: {error}", code="unknown_format") from error
    if reader.problem is not None:
        wait_for_more(payload, reader.problem)
        yield Bad(reader.problem.reason, b"", reader.problem.message, complete=False)
