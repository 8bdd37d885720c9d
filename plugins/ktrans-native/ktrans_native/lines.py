"""Reads lines of fields."""

from __future__ import annotations

from ktrans.api import LineReader, LineShape


def line_reader(shape: LineShape) -> LineReader:
    """Return a reader of lines of fields."""
    raise NotImplementedError(shape)
