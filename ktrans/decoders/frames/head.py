"""The first bytes of an object, by which decoders choose how to cut it."""

from __future__ import annotations

import io

from ktrans.api import Payload
from ktrans.kit.text.inflate import inflate_head

HEAD_BYTES = 64 << 10


def first_bytes(payload: Payload, *, of_object: bool = False) -> bytes:
    """Return the first bytes of an object, inflated.

    Args:
        payload: part of the object.
        of_object: whether nothing else will do; else a payload that cannot reach back to the start
            of its object answers with its own first bytes.
    """
    try:
        raw = payload.head(HEAD_BYTES)
    except io.UnsupportedOperation:
        if of_object:
            return b""
        with payload.open() as stream:
            raw = stream.read(HEAD_BYTES)
    return inflate_head(raw, HEAD_BYTES)
