"""Flow columns of AWS logs that are worked out from several native ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.addresses import ip_versions
from ktrans.flow.columns import constant_text, nulls, recode
from ktrans.flow.schema import TEXT

_IP_TYPES = {"IPv4": 4, "IPv6": 6}
_REPORTERS = ("destination", "source", "interface")


def ip_version(native: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """Tell the IP version from either address; the record's own word only where there is none."""
    answer = None
    for name in ("srcaddr", "dstaddr"):
        if name in native and (answer is None or _adds(answer, native[name])):
            versions = ip_versions(native[name])
            answer = versions if answer is None else pc.coalesce(answer, versions)
    if "type" in native and (answer is None or _adds(answer, native["type"])):
        kinds = native["type"]
        words = [_IP_TYPES.get(word) for word in kinds.dictionary.to_pylist()]
        versions = pa.array(words, pa.int8()).take(kinds.indices)
        answer = versions if answer is None else pc.coalesce(answer, versions)
    return nulls(rows, pa.int8()) if answer is None else answer


def _adds(answer: pa.Array, column: pa.Array) -> bool:
    """Tell whether a column has values where the answer has none."""
    if answer.null_count == 0 or column.null_count == len(column):
        return False
    return bool((np.asarray(answer.is_null()) & np.asarray(column.is_valid())).any())


def reporter(direction: pa.DictionaryArray | None, rows: int) -> pa.Array:
    if direction is None:
        return constant_text("interface", rows)
    words = direction.dictionary.to_pylist()
    per_value = np.array(
        [{"ingress": 0, "egress": 1}.get(word, 2) for word in words] + [2], dtype=np.int32
    )
    codes = per_value[np.asarray(direction.indices.fill_null(len(words)))]
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(_REPORTERS, pa.string()))


def sum_counts(columns: Sequence[pa.Array]) -> pa.Array:
    """Add counts row by row; null only where all are."""
    total = np.zeros(len(columns[0]), dtype=np.int64)
    missing = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        total += np.asarray(column.fill_null(0))
        missing &= np.asarray(column.is_null())
    return pa.array(total, mask=missing)


def odd_types(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Keep what `type` says beyond IPv4 and IPv6, such as EFA."""
    words = column.dictionary.to_pylist()
    if all(word in _IP_TYPES for word in words):
        return nulls(len(column), TEXT)
    return recode(
        column, pa.array([None if word in _IP_TYPES else word for word in words], pa.string())
    )


def percent_decoded(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Decode tag values; one that is not UTF-8 underneath stays as it was."""
    words = column.dictionary.to_pylist()
    if not any(word and "%" in word for word in words):
        return column
    return recode(column, pa.array([_unquoted(word) for word in words], pa.string()))


def _unquoted(word: str | None) -> str | None:
    if word is None:
        return None
    try:
        return unquote_to_bytes(word).decode("utf-8")
    except UnicodeDecodeError:
        return word
