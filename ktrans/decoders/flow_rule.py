"""The rule of all decoders: which records are flows, and which values a flow cannot do without.

A flow has two addresses, or the one that a mapping names if it names one only. A record without them
is one only if its log status says that there was no data. What makes a record a reject is in the columns of REQUIRED, which are read in any case: so the
same logs give the same rows and rejects, whichever columns are wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.texts import changed, marked

REQUIRED = ("start_time", "src_addr", "dst_addr", "packets", "bytes", "log_status")
"""Columns whose values must be readable if they are there. In any other column a value that cannot be
read is null; it is counted and kept in attrs."""

ZERO_DATE = "0000-00-00"
"""How databases write that there is no date; a start of this kind is null, and costs no row."""

ADDRESSES = ("src_addr", "dst_addr")
TIMES = ("start_time", "end_time", "logged_at")
NO_DATA = ("NODATA", "SKIPDATA")
"""Values of log_status: of the records that are no flows, and have no addresses."""

NO_ADDRESSES = "no_addresses"
_LONGEST_NAME = 60
_STRANGE = re.compile(r"[^\w.%:/@ -]")


def without_addresses(
    columns: Mapping[str, pa.Array], rows: int, addresses: Iterable[str] = ADDRESSES
) -> np.ndarray | None:
    """Mark the rows that are no flows; None if all are.

    Args:
        columns: the flow columns.
        rows: how many rows they have.
        addresses: the addresses that a flow of this log has; both, unless a mapping names one only.
    """
    missing: np.ndarray | None = None
    for name in addresses:
        column = columns.get(name)
        if column is None:
            missing = np.ones(rows, dtype=bool)
        elif column.null_count:
            there = np.asarray(column.is_null())
            missing = there if missing is None else missing | there
    status = columns.get("log_status")
    if missing is not None and status is not None:
        missing &= ~marked(status, NO_DATA.__contains__)
    return missing if missing is not None and missing.any() else None


def lacks(columns: Mapping[str, pa.Array], row: int, names: Mapping[str, Iterable[str]]) -> str:
    """Return which addresses a record lacks, for people.

    Args:
        columns: the flow columns.
        row: the record.
        names: where the log has each address that a flow has.
    """
    said = []
    for name, side in zip(ADDRESSES, ("source", "destination"), strict=True):
        column = columns.get(name)
        if name in names and (column is None or not column[row].is_valid):
            said.append(f"no {side} address ({' or '.join(names[name])})")
    return f"{' and '.join(said)}: not a flow"


def record_name(key: str, value: str) -> str:
    """Return the name under which records of another kind are counted, from a member that says so."""
    return _STRANGE.sub("?", f"{key} {value}")[:_LONGEST_NAME]


def named_records(column: pa.DictionaryArray, key: str, test: Any) -> pa.DictionaryArray | None:
    """Return the name of each record that is of another kind; None if there are none.

    Args:
        column: the member of the records that says of which kind they are.
        key: the name of that member.
        test: returns whether a text is that of another kind.
    """
    names = changed(column, lambda word: record_name(key, word) if test(word) else None)
    return names if len(names.dictionary.drop_null()) else None


def counted(names: pa.DictionaryArray) -> dict[str, int]:
    """Return how often each name is there."""
    found = pc.value_counts(names.drop_null()).to_pylist()
    return {item["values"]: item["counts"] for item in found}


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of several counts by name."""
    sums: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            sums[name] = sums.get(name, 0) + count
    return sums
