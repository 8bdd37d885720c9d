"""Says what an object looks like of which a decoder could read nothing, and what to write instead."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ktrans.api import Component, Context, Head, Payload, Sniff
from ktrans.decoders.frames.head import first_bytes
from ktrans.decoders.names import shown
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "this is Parquet", "`auto` knows which decoders read Parquet"),
    (b"\x1f\x8b", "this is gzip inside compressed data", "inflate it once more"),
    (b"\x28\xb5\x2f\xfd", "this is Zstandard inside compressed data", "inflate it once more"),
    (b"BZh", "this is bzip2 inside compressed data", "inflate it once more"),
    (b"PK\x03\x04", "this is a zip archive", "unpack it"),
    (b"Obj\x01", "this is an Avro container", "unpack the records that it carries"),
    (b"ORC", "this is ORC", "convert it to Parquet"),
    (b"\xff\xfe", "this is UTF-16", "convert it to UTF-8"),
    (b"\xfe\xff", "this is UTF-16", "convert it to UTF-8"),
    (b"SQLite format 3", "this is an SQLite database", "exclude it"),
    (b"<", "this is HTML or XML", "exclude it"),
)
_HEADER = re.compile(r"[A-Za-z@_][\w@. -]*(?:[,;\t][A-Za-z@_][\w@. -]*)*")
_SHOWN_BYTES = 60
_BLANK = b"\xef\xbb\xbf \t\r\n,["


def looks_like(payload: Payload, decoder: Component[Any], context: Context) -> str | None:
    """Return what an object looks like by its first bytes, and what to write, for people.

    None if the decoder recognises it: then it is the right one, and the records are damaged.

    Args:
        payload: the object.
        decoder: the decoder that could read nothing of it.
        context: has the decoders that may recognise it.
    """
    data = first_bytes(payload)
    if not data:
        return "nothing of it can be inflated; write it anew, or exclude it"
    claims = _claims(Head(payload.uri, data), context)
    if decoder.config.type in claims:
        return None
    claim = max(claims.items(), key=lambda each: each[1].score, default=None)
    if claim is not None:
        return f"{claim[1].why}; write `decoder: {{type: {claim[0]}}}`"
    return _looks(data)


def _looks(data: bytes) -> str:
    """Return what bytes that no decoder recognises look like."""
    for magic, what, hint in _MAGIC:
        if data.startswith(magic):
            return f"{what}; {hint}"
    names = _json_names(data)
    if names is not None:
        return f"JSON with the members {shown(names, 8)}; map them with flow_json"
    line = data.lstrip(_BLANK).partition(b"\n")[0].rstrip(b"\r").decode("utf-8", "replace")
    if re.search(r"[,;\t]", line) and _HEADER.fullmatch(line.replace('"', "")):
        columns = re.split(r"[,;\t]", line.replace('"', ""))
        return f"a CSV with the columns {shown(columns, 8)}; map them with flow_csv"
    return f"it begins with {data[:_SHOWN_BYTES]!r}"


def _claims(head: Head, context: Context) -> dict[str, Sniff]:
    """Return what the decoders say that recognise an object, by their type."""
    found: dict[str, Sniff] = {}
    registry = context.registry
    if registry is None:
        return found
    for spec in registry.specs("decoder"):
        if spec.sniff is not None and head.data[:4] != b"PAR1":
            sniff = registry.load(spec.sniff)(head)
            found |= {} if sniff is None else {spec.type: sniff}
    return found


def _json_names(data: bytes) -> list[str] | None:
    """Return the names of the members of the first JSON object; None if there is none."""
    text = data.lstrip(_BLANK)
    if not text.startswith(b"{"):
        return None
    for part in (text.partition(b"\n")[0].rstrip(b" \r,"), text):
        try:
            return list(msgspec.json.decode(part, type=dict[str, msgspec.Raw]))
        except UNREADABLE_JSON:
            continue
    return [name.decode("utf-8", "replace") for name in re.findall(rb'"([^"\\]+)"\s*:', text)[:8]]
