"""What Arrow raises about data that it cannot read: all its errors but a lack of memory."""

from __future__ import annotations

import pyarrow as pa

ARROW_FAULTS = (
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowKeyError,
    pa.ArrowIndexError,
    pa.ArrowNotImplementedError,
    pa.lib.ArrowCapacityError,
    pa.ArrowSerializationError,
)
