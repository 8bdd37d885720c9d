"""Takes records out of the body of Pub/Sub push requests.

Source: Google Cloud Pub/Sub documentation, "Push subscriptions": {"message": {"data": base64, ...},
"subscription": ...}.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace

import msgspec

from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.json_scan import one_line
from ktrans.kit.text.json_errors import UNREADABLE_JSON


class _Message(msgspec.Struct):
    data: str


class _Push(msgspec.Struct):
    message: _Message


_DECODER = msgspec.json.Decoder(_Push)


def unwrap_push(block: Block) -> Block:
    """Replace push requests by the records in them; the first line shows whether there are any."""
    end = block.data.find(b"\n")
    first = block.data[: end if end >= 0 else len(block.data)]
    if b'"message"' not in first or _unwrapped(first) is first:
        return block
    lines = block.data.removesuffix(b"\n").split(b"\n")
    return replace(block, data=b"\n".join(map(_unwrapped, lines)) + b"\n")


def _unwrapped(line: bytes) -> bytes:
    """Return the record in a request; data that is not base64 is left for the decoder to reject."""
    try:
        text = _DECODER.decode(line).message.data
    except UNREADABLE_JSON:
        return line
    try:
        record = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        record = text.encode()
    return one_line(record).strip() or line
