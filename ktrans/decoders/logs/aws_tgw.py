"""AWS Transit Gateway flow logs: text with or without a header, CloudWatch, Parquet.

Source: AWS Transit Gateway Guide, "Transit Gateway Flow log records".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktrans.decoders.aws.fields import TGW_DEFAULT, TGW_FIELDS
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import sniff_aws
from ktrans.decoders.texts import marked


def _is_default(columns: Mapping[str, Any]) -> np.ndarray:
    """Return which rows of 36 fields have the resource type second and a gateway third or fourth."""
    other = marked(columns["resource-type"], lambda word: word != "TransitGateway")
    third, fourth = (
        marked(columns[name], lambda word: word.startswith("tgw-"))
        for name in ("account-id", "tgw-id")
    )
    default: np.ndarray = ~other & (third | fourth)
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
