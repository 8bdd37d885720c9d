"""Encodes a batch although some of its rows can never be written: those are refused.

>>> import pyarrow as pa
>>> from ktrans.api import RowsError
>>> def encode(batch):
...     ports = batch["port"].to_pylist()
...     if None in ports:
...         missing = [port is None for port in ports]
...         raise RowsError("no port", rows=missing, code="port_missing")
...     return ports
>>> encoded, refused = encode_rows(encode, pa.record_batch({"port": [22, None, 443]}))
>>> encoded, [(each.reason, each.rows.num_rows) for each in refused]
([[22, 443]], [('port_missing', 1)])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Refused, RowsError

_compute: Any = pc

FAULTS_OF_VALUES = (ValueError, ArithmeticError, pa.lib.ArrowCapacityError)
"""What code raises about a value that it cannot handle. Other errors are those of the code."""


def encode_rows(
    encode: Callable[[pa.RecordBatch], Any], batch: pa.RecordBatch
) -> tuple[list[Any], list[Refused]]:
    """Encode a batch, if need be without the rows that can never be written.

    An error that does not tell which rows are the cause is tracked down by encoding halves.

    Args:
        encode: encodes a batch; pure, as `Writer.encode` is.
        batch: the rows.

    Returns:
        What `encode` returned, in the order of the rows, and the refused rows.

    Raises:
        Exception: an error that is not about the values of rows.
    """
    if not batch.num_rows:
        return [], []
    try:
        return [encode(batch)], []
    except RowsError as error:
        refused, rest = _flagged(batch, error)
        if refused is not None:
            encoded, more = encode_rows(encode, rest)
            return encoded, [refused, *more]
        return _by_halves(encode, batch, error)
    except FAULTS_OF_VALUES as error:
        return _by_halves(encode, batch, error)


def _flagged(batch: pa.RecordBatch, error: RowsError) -> tuple[Refused | None, pa.RecordBatch]:
    """Separate the rows that the error flags; None if it is about a part of the batch only."""
    flags = pa.array(error.rows, pa.bool_())
    if len(flags) != batch.num_rows or not _compute.any(flags).as_py():
        return None, batch
    rest = batch.filter(_compute.invert(flags))
    return Refused(batch.filter(flags), error.code, _detail(error)), rest


def _by_halves(
    encode: Callable[[pa.RecordBatch], Any], batch: pa.RecordBatch, error: Exception
) -> tuple[list[Any], list[Refused]]:
    if batch.num_rows == 1:
        reason = error.code if isinstance(error, RowsError) else RowsError.default_code
        return [], [Refused(batch, reason, _detail(error))]
    middle = batch.num_rows // 2
    first, refused = encode_rows(encode, batch.slice(0, middle))
    second, more = encode_rows(encode, batch.slice(middle))
    return first + second, refused + more


def _detail(error: Exception) -> str:
    if isinstance(error, RowsError):
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return f"{type(error).__name__}: {error}"
