"""AWS Transit Gateway flow logs: text with or without a header, CloudWatch, Parquet.

Source: AWS Transit Gateway Guide, "Transit Gateway Flow log records".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.aws.fields import TGW_DEFAULT, TGW_FIELDS
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import sniff_aws


def _per_row(column: pa.DictionaryArray, per_value: pa.Array, *, null: bool) -> np.ndarray:
    """Return what holds for each row, from what holds for each distinct value."""
    verdicts = np.append(np.asarray(per_value.fill_null(False)), null)
    rows: np.ndarray = verdicts[np.asarray(column.indices.fill_null(len(column.dictionary)))]
    return rows


def _is_default(columns: Mapping[str, Any]) -> np.ndarray:
    """Return which rows of 36 fields have the resource type second and a gateway third or fourth."""
    kind = columns["resource-type"]
    right = _per_row(kind, pc.equal(kind.dictionary, "TransitGateway"), null=True)
    third, fourth = (
        _per_row(column, pc.starts_with(column.dictionary, "tgw-"), null=False)
        for column in (columns["account-id"], columns["tgw-id"])
    )
    default: np.ndarray = right & (third | fourth)
    return default


LOG = TextLog(
    name="aws_tgw",
    log_type="aws.tgw",
    fields=TGW_FIELDS,
    default=TGW_DEFAULT,
    guess=_is_default,
    guess_fields=("resource-type", "account-id", "tgw-id"),
    sniff=sniff_aws,
)
