"""Telling AWS flow logs from other objects by their first bytes."""

from __future__ import annotations

from collections.abc import Iterable

from ktrans.api import Head, Limits, Sniff
from ktrans.decoders.aws.layout import Dialect, is_time, parse_header
from ktrans.decoders.aws.parquet import MIN_KNOWN, field_names
from ktrans.decoders.frames.log_events import (
    BadDocument,
    Messages,
    cut_documents,
    is_json,
    read_document,
)

_TGW_MARKS = ("tgw-id", "resource-type", "tgw-attachment-id")
_VPC_WIDTH = 14
_TGW_WIDTH = 36
_LOOKED_AT = 20
_SURE, _LIKELY, _MAYBE = 100, 85, 60


def sniff_aws(head: Head, dialect: Dialect) -> Sniff | None:
    """Say how surely an object holds this kind of AWS flow log."""
    if head.columns is not None:
        return _by_names(field_names(head.columns), dialect, "Parquet columns are")
    data = head.data.removeprefix(b"\xef\xbb\xbf")
    if is_json(data):
        return _by_events(data, dialect)
    for line in [line for line in data.split(b"\n") if line.strip()][:_LOOKED_AT]:
        layout = parse_header(line.rstrip(b"\r"), dialect)
        if layout is not None:
            return _by_names(layout.names, dialect, "header line names")
        found = _by_record(line, dialect, "a line")
        if found is not None:
            return found
    return None


def _by_names(names: Iterable[str], dialect: Dialect, what: str) -> Sniff | None:
    given = list(names)
    known = sum(name in dialect.by_name for name in given)
    if known < min(MIN_KNOWN, len(given)) or known * 2 <= len(given):
        return None
    gateway = any(mark in given for mark in _TGW_MARKS) or any(n.startswith("tgw-") for n in given)
    if gateway != (dialect.name == "aws_tgw"):
        return None
    score = _SURE if known == len(given) else _LIKELY
    new = "" if known == len(given) else f" and {len(given) - known} unknown ones"
    return Sniff(score, f"{what} {known} known fields of {dialect.log_type}{new}")


def _by_events(data: bytes, dialect: Dialect) -> Sniff | None:
    """Look at the first message of the first document that is whole."""
    limits = Limits()
    messages = Messages()
    strange = False
    for document in cut_documents([data], limits):
        if isinstance(document, BadDocument):
            strange = True
            continue
        for _bad in read_document(document, messages, limits):
            strange = True
        if messages.texts:
            break
    if messages.texts:
        return _by_record(messages.texts[0], dialect, "first message of a log event")
    if messages.control and not strange and dialect.name == "aws_vpc":
        # No flows, whichever log it is about: a decoder that skips it is all that is needed.
        return Sniff(_MAYBE, "nothing but control messages of CloudWatch Logs")
    if b'"messageType"' in data and b'"message":"' in data:
        text = data.partition(b'"message":"')[2].partition(b'"')[0]
        return _by_record(text, dialect, "first message of a log event")
    return None


def _by_record(line: bytes, dialect: Dialect, what: str) -> Sniff | None:
    """Recognise a record of the default format; other formats need a header or an option."""
    tokens = line.split()
    stamped = bool(tokens) and is_time(tokens[0])
    if stamped:
        tokens = tokens[1:]
    prefix = " behind a time" if stamped else ""
    if dialect.name == "aws_vpc":
        if len(tokens) == _VPC_WIDTH and tokens[0] == b"2":
            return Sniff(_LIKELY, f"{what} has the 14 fields of version 2{prefix}")
        return None
    if (
        len(tokens) == _TGW_WIDTH
        and tokens[1] in (b"TransitGateway", b"-")
        and (tokens[2].startswith(b"tgw-") or tokens[3].startswith(b"tgw-"))
    ):
        return Sniff(_LIKELY, f"{what} has the 36 fields of a transit gateway{prefix}")
    return None
