"""Reads JSON lines."""

from __future__ import annotations

from ktrans.api import JsonReader, JsonShape


def json_reader(shape: JsonShape) -> JsonReader:
    """Return a reader of JSON lines."""
    raise NotImplementedError(shape)
