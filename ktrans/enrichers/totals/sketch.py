"""Sketches of distinct values (HyperLogLog), by the Apache DataSketches library.

The library is imported on first use: only `approx_distinct` needs it. It takes values one by one,
so it is given each distinct value of a total once per merge, never each row.
"""

from __future__ import annotations

import importlib
import importlib.util
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import ConfigError

LG_K = 12
"""4096 registers: a standard error of 1.6 per cent, and up to about 2.6 kB a total."""


def check_installed() -> None:
    """Check that the library is installed, without importing it.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("datasketches") is None:
        raise ConfigError(
            "rollup: approx_distinct needs the package datasketches",
            code="package_missing",
            hint="pip install datasketches, or use distinct, which is exact",
        )


def library() -> Any:
    """Import the library."""
    return importlib.import_module("datasketches")


def build(table: pa.Table, totals: np.ndarray) -> pa.Table:
    """Make a sketch of the column `value` for each total; `totals` numbers them by rows, from 0."""
    kit = library()
    order, starts = _runs(totals)
    column = table.column("value")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    elif not pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    values = column.combine_chunks().take(pa.array(order)).to_pylist()
    sketches = []
    for start, end in pairwise([*starts, len(values)]):
        sketch = kit.hll_sketch(LG_K)
        for value in values[start:end]:
            sketch.update(value)
        sketches.append(sketch.serialize_compact())
    return _table(table, order, starts, sketches)


def merge(table: pa.Table, totals: np.ndarray) -> pa.Table:
    """Unite the sketches of each total; same arguments and result as `build`."""
    if not len(totals) or totals.max() + 1 == len(totals):
        return table
    kit = library()
    order, starts = _runs(totals)
    stored = table.column("value").combine_chunks().take(pa.array(order)).to_pylist()
    sketches = []
    for start, end in pairwise([*starts, len(stored)]):
        if end - start == 1:
            sketches.append(stored[start])
            continue
        union = kit.hll_union(LG_K)
        for one in stored[start:end]:
            union.update(kit.hll_sketch.deserialize(one))
        sketches.append(union.get_result().serialize_compact())
    return _table(table, order, starts, sketches)


def estimates(stored: pa.ChunkedArray) -> np.ndarray:
    """Return the estimated number of distinct values of each sketch."""
    kit = library()
    found = []
    for one in stored.to_pylist():
        # A sketch's own estimate depends on the order in which values came. That of a union of two
        # goes by the registers alone, which are the same in any order.
        union, sketch = kit.hll_union(LG_K), kit.hll_sketch.deserialize(one)
        union.update(sketch)
        union.update(sketch)
        found.append(round(union.get_estimate()))
    return np.array(found, np.int64)


def _runs(totals: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Sort rows by their total; return the order, and where each total begins."""
    order = np.argsort(totals, kind="stable")
    starts = np.flatnonzero(np.diff(totals[order], prepend=-1))
    return order, starts.tolist()


def _table(
    table: pa.Table, order: np.ndarray, starts: list[int], sketches: list[bytes]
) -> pa.Table:
    keys = table.drop_columns(["value"]).take(pa.array(order[starts]))
    return keys.append_column(pa.field("value", pa.binary()), pa.array(sketches, pa.binary()))
