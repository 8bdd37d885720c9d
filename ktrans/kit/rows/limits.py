"""What the columns of a table can hold, and which rows of a batch do not fit.

A database refuses a whole insert for one value that a column cannot hold, or stores another value
without a word. So a sink of one checks rows when they are encoded: those that do not fit become
rejects, and the others arrive.

>>> import pyarrow as pa
>>> batch = pa.record_batch({"port": [443, 70000], "src": ["10.0.0.1", "nowhere"]})
>>> check_rows(batch, {"port": Limit(low=0, high=65535)})
Traceback (most recent call last):
ktrans.api.errors.RowsError: column 'port' holds numbers from 0 to 65535
>>> check_rows(batch.slice(1), {"src": Limit(address=True)})
Traceback (most recent call last):
ktrans.api.errors.RowsError: column 'src' holds addresses
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import RowsError
from ktrans.expressions.prefixes import parse_addresses
from ktrans.flow.addresses import with_colon
from ktrans.kit.rows.pieces import as_text

_compute: Any = pc

_Fault = tuple[Any, str, str]
"""Flags of rows (a boolean array), the reason of the reject, and what the column holds instead."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What one column of a table can hold; by default anything.

    Attributes:
        low: the least number; of times in their own unit since 1970, of dates in days.
        high: the greatest number.
        required: whether it holds no nulls.
        address: whether its texts are addresses; 4 and 6 ask for addresses of that family.
        networks: whether an address may be followed by the length of a prefix.
        host_bits: whether such an address may have bits beyond that prefix.
        utf8: whether its texts are checked to be UTF-8.
        without: a text that does not occur within its texts.
        harmful: a regular expression that finds where it does harm, if it does not everywhere.
        max_chars: the length of the longest text.
    """

    low: int | None = None
    high: int | None = None
    required: bool = False
    address: bool | int = False
    networks: bool = False
    host_bits: bool = True
    utf8: bool = False
    without: str = ""
    harmful: str = ""
    max_chars: int | None = None


def check_rows(batch: pa.RecordBatch, limits: Mapping[str, Limit]) -> None:
    """Check that the columns of a table can hold the rows of a batch.

    Args:
        batch: the rows; text columns may be dictionaries.
        limits: by column; columns without one hold anything.

    Raises:
        RowsError: some rows do not fit, by the first column in which one does not.
    """
    for name, limit in limits.items():
        for flags, reason, holds in _faults(batch.column(name), limit):
            if _compute.any(flags).as_py():
                raise RowsError(f"column {name!r} holds {holds}", rows=flags, code=reason)


def _faults(array: pa.Array, limit: Limit) -> Iterator[_Fault]:
    if limit.required and array.null_count:
        yield array.is_null(), "null_not_allowed", "no nulls"
    if limit.low is not None or limit.high is not None:
        yield from _outside(array, limit)
    if limit.utf8:
        yield _by_value(array, _not_utf8), "invalid_utf8", "UTF-8 text"
    if limit.without:
        yield _by_value(array, lambda texts: _harmful(texts, limit)), *_WITHOUT
    if limit.max_chars is not None:
        most = limit.max_chars
        flags = _by_value(array, lambda texts: _compute.greater(_compute.utf8_length(texts), most))
        yield flags, "text_not_storable", f"texts of up to {most} characters"
    if limit.address:
        family = {4: "IPv4 addresses", 6: "IPv6 addresses"}.get(limit.address, "addresses")
        yield _by_value(array, lambda texts: _no_address(texts, limit)), "bad_address", family


_WITHOUT = ("text_not_storable", "text without the character NUL")


def _outside(array: pa.Array, limit: Limit) -> Iterator[_Fault]:
    dates = pa.types.is_date32(array.type)
    times = dates or pa.types.is_timestamp(array.type)
    numbers = array.cast(pa.int32()) if dates else array
    numbers = numbers.cast(pa.int64()) if times else numbers
    bounds = _compute.min_max(numbers)
    least, most = bounds["min"].as_py(), bounds["max"].as_py()
    if least is None:
        return
    flags = []
    if limit.low is not None and least < limit.low:
        flags.append(_compute.less(numbers, pa.scalar(limit.low, numbers.type)))
    if limit.high is not None and most > limit.high:
        flags.append(_compute.greater(numbers, pa.scalar(limit.high, numbers.type)))
    for each in flags:
        if times:
            yield each.fill_null(False), "time_out_of_range", "times of a smaller range"
        else:
            span = f"numbers from {limit.low} to {limit.high}"
            yield each.fill_null(False), "out_of_range", span


def _by_value(array: pa.Array, test: Callable[[pa.Array], Any]) -> Any:
    """Flag the rows whose texts fail a test; a dictionary's texts are tested once each."""
    if pa.types.is_dictionary(array.type):
        return test(as_text(array.dictionary)).take(array.indices).fill_null(False)
    if pa.types.is_list(array.type):
        flags = np.zeros(len(array), bool)
        bad = _by_value(array.flatten(), test)
        flags[_compute.list_parent_indices(array).filter(bad).to_numpy()] = True
        return pa.array(flags)
    return test(as_text(array)).fill_null(False)


def _not_utf8(texts: pa.Array) -> pa.Array:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array([not _decodes(one) for one in texts.cast(pa.binary())], pa.bool_())
    return pa.repeat(pa.scalar(False), len(texts))


def _decodes(text: pa.BinaryScalar) -> bool:
    try:
        (text.as_py() or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _harmful(texts: pa.Array, limit: Limit) -> pa.Array:
    found = _compute.match_substring(texts, limit.without)
    if not limit.harmful or not _compute.any(found).as_py():
        return found
    return _compute.match_substring_regex(texts, limit.harmful)


def _no_address(texts: pa.Array, limit: Limit) -> pa.Array:
    family = parse_addresses(texts).family
    good = (family != 0) if limit.address is True else (family == limit.address)
    if limit.address == 4:  # noqa: PLR2004 - the family; IPv4 within IPv6 is of it, but has another form
        good[with_colon(texts)] = False
    if limit.networks:
        for index in np.flatnonzero(~good):
            good[index] = _is_network(texts[int(index)].as_py() or "", limit)
    return _compute.and_(pa.array(~good), texts.is_valid())


def _is_network(text: str, limit: Limit) -> bool:
    read = ipaddress.ip_interface if limit.host_bits else ipaddress.ip_network
    try:
        read(text)
    except ValueError:
        return False
    # The library takes masks for prefixes too, and zones, which databases do not.
    return text.rpartition("/")[2].isdecimal() and "%" not in text
