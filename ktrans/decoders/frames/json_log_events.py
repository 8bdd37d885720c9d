"""JSON records inside log events: what CloudWatch Logs subscriptions, Lambda and Kinesis wrap.

Source: Amazon CloudWatch Logs User Guide, "Real-time processing of log data with subscriptions".
"""

from __future__ import annotations

from collections.abc import Iterator

from ktrans.api import Limits, Payload
from ktrans.decoders.frames.block import Block
from ktrans.decoders.frames.json_cutter import Cutter
from ktrans.decoders.frames.log_events import BadDocument, Messages, cut_documents, read_document
from ktrans.kit.text.inflate import Inflater, Problem

_MARKS = (b'"logEvents"', b'"awslogs"', b'"kinesis"', b'"messageType"')


def holds_events(head: bytes) -> bool:
    """Return whether an object's first bytes look like log events."""
    return any(mark in head for mark in _MARKS)


def messages_of(head: bytes) -> list[bytes]:
    """Return the messages of the first document of a head that has any."""
    messages = Messages()
    for document in cut_documents([head], Limits()):
        if not isinstance(document, BadDocument):
            for _bad in read_document(document, messages, Limits()):
                pass
        if messages.texts:
            break
    return messages.texts


def cut_events(payload: Payload, limits: Limits, *, control: bytes) -> Iterator[Block]:
    """Cut an object into blocks of its log events' messages.

    The position of a record is the ordinal of its event in the object; a document that cannot be
    read counts as one.

    Args:
        payload: the object.
        limits: sizes of blocks and records.
        control: the record that stands for a control message; the decoder is to skip it.

    Raises:
        TruncatedError: the stream ends early and may still grow (`payload.final_attempt`).
    """
    inflater = Inflater(payload.open, limits, payload.uri)
    cutter = Cutter(payload, limits)
    last: bytes | BadDocument | None = None
    for document in cut_documents(inflater.chunks(), limits):
        if last is not None:
            yield from _take(cutter, last, limits, control)
        last = document
    problem = inflater.problem
    if problem is not None:
        yield from _end_torn(cutter, last, limits, control, problem)
    elif last is not None:
        yield from _take(cutter, last, limits, control)
    yield from cutter.flush()


def _take(
    cutter: Cutter, document: bytes | BadDocument, limits: Limits, control: bytes
) -> Iterator[Block]:
    messages = Messages()
    bad = [document] if isinstance(document, BadDocument) else [*read_document(document, messages, limits)]  # fmt: skip
    for text in [control] * messages.control + messages.texts:
        yield from cutter.record(text)
    for each in bad:
        yield from cutter.refuse(each.reason, each.raw, each.detail)


def _end_torn(
    cutter: Cutter,
    last: bytes | BadDocument | None,
    limits: Limits,
    control: bytes,
    problem: Problem,
) -> Iterator[Block]:
    """Yield blocks of the end of a stream that broke off; its last document may be whole."""
    torn = b""
    if isinstance(last, bytes):
        bad = list(read_document(last, Messages(), limits))
        torn, last = (last, None) if bad else (b"", last)
    if last is not None:
        yield from _take(cutter, last, limits, control)
    yield from cutter.flush()
    yield from cutter.refuse_torn(torn, problem)
