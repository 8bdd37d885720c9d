"""Changes and tests text columns by distinct value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.flow.columns import recode


def changed(column: pa.DictionaryArray, change: Callable[[str], str | None]) -> pa.DictionaryArray:
    """Return a column with each distinct text changed; None means that there is no value."""
    words = [None if word is None else change(word) for word in column.dictionary.to_pylist()]
    return recode(column, pa.array(words, pa.string()))


def where(column: pa.DictionaryArray, mask: np.ndarray | pa.Array) -> pa.DictionaryArray:
    """Return a column with null where a mask is false."""
    codes = pc.if_else(pa.array(mask), column.indices, pa.scalar(None, pa.int32()))
    return pa.DictionaryArray.from_arrays(codes, column.dictionary)


def by_row(
    column: pa.DictionaryArray, values: Sequence[int] | np.ndarray, null: int = False
) -> np.ndarray:
    """Return for each row what holds for its distinct text, and `null` where it has no text."""
    codes = np.asarray(column.indices.fill_null(len(column.dictionary)))
    found: np.ndarray = np.append(np.asarray(values), null)[codes]
    return found


def marked(column: pa.DictionaryArray, test: Callable[[str], object]) -> np.ndarray:
    """Mark the rows whose text meets a test."""
    words = column.dictionary.to_pylist()
    return by_row(column, np.array([w is not None and test(w) for w in words], bool))
