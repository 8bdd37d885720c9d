"""Joins the parts of rows."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ktrans.api import RowPart


def join(parts: Sequence[RowPart], rows: int) -> pa.Array:
    """Join the parts of rows into one text for each row."""
    raise NotImplementedError(parts, rows)
