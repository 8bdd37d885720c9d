"""Scales counters of sampled packets: what was counted times the sampling rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.partial_rows import PartialRows, Unread
from ktrans.decoders.read.raw_columns import Path
from ktrans.decoders.values import Rule, Wrong, coerce

COUNTERS = ("packets", "bytes", "packets_rev", "bytes_rev")
_COUNT = Rule("count")
_LARGEST = (1 << 63) - 1


def sampling_rates(rows: PartialRows, paths: Iterable[Path]) -> pa.Int64Array:
    """Return how many packets each counted packet stands for; null where the record does not say."""
    rates = pa.nulls(rows.rows, pa.int64())
    for path in paths:
        for name, column in rows.values(*path):
            given = rows.take(name, lambda values: coerce(_COUNT, values), column, "packets")
            # A rate of 0 is not defined: it is not known how many packets a packet stands for.
            given = pc.if_else(pc.equal(given, 0), pa.scalar(None, pa.int64()), given)
            rates = pc.coalesce(given, rates)
    return rates


def scale(rows: PartialRows, rates: pa.Int64Array, names: Mapping[str, str]) -> None:
    """Multiply counters by the sampling rate, and note the products that are too large.

    Args:
        rows: the rows.
        rates: the sampling rate of each; counters stay as they are where it is not known.
        names: the counters to multiply, each with the name of its value in the record.
    """
    rates = rates.fill_null(1)
    most = pc.divide(pa.scalar(_LARGEST, pa.int64()), rates)
    for column, name in names.items():
        counts = rows.columns.get(column)
        if counts is None:
            continue
        beyond = pc.greater(counts, most).fill_null(False)
        wrong = Wrong.of(np.asarray(beyond), "out_of_range")
        if wrong is not None:
            products = _products(counts, rates, wrong)
            rows.unread.append(Unread(name, column, wrong, products))
            counts = pc.if_else(beyond, pa.scalar(None, pa.int64()), counts)
        rows.columns[column] = pc.multiply(counts, rates)


def _products(counts: pa.Int64Array, rates: pa.Int64Array, wrong: Wrong) -> pa.StringArray:
    """Return the factors of the products that are too large, as text."""
    texts: list[str | None] = [None] * len(counts)
    for row in wrong.rows.tolist():
        texts[row] = f"{counts[row]} * {rates[row]}"
    return pa.array(texts, pa.string())
