"""AWS Transit Gateway flow logs: text with or without a header, CloudWatch, Parquet.

Source: AWS Transit Gateway Guide, "Transit Gateway Flow log records".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.decoder import AwsDecoder, AwsTextConfig
from ktrans.decoders.aws.fields import TGW_DEFAULT, TGW_FIELDS
from ktrans.decoders.aws.layout import Dialect
from ktrans.decoders.aws.sniff import sniff_aws


def _per_row(column: pa.DictionaryArray, per_value: pa.Array, *, null: bool) -> np.ndarray:
    """Spread a verdict on distinct values to the rows."""
    verdicts = np.append(np.asarray(per_value.fill_null(False)), null)
    rows: np.ndarray = verdicts[np.asarray(column.indices.fill_null(len(column.dictionary)))]
    return rows


def _is_default(columns: Mapping[str, Any]) -> np.ndarray:
    """Tell which rows of 36 fields have the resource type second and a gateway third or fourth."""
    kind = columns["resource-type"]
    right = _per_row(kind, pc.equal(kind.dictionary, "TransitGateway"), null=True)
    third, fourth = (
        _per_row(column, pc.starts_with(column.dictionary, "tgw-"), null=False)
        for column in (columns["account-id"], columns["tgw-id"])
    )
    default: np.ndarray = right & (third | fourth)
    return default


TGW = Dialect(
    decoder="aws_tgw",
    log_type="aws.tgw",
    fields=TGW_FIELDS,
    default=TGW_DEFAULT,
    guess=_is_default,
    guess_fields=("resource-type", "account-id", "tgw-id"),
)


class AwsTgwDecoderConfig(AwsTextConfig):
    """Options of the `aws_tgw` decoder."""

    dialect: ClassVar[Dialect] = TGW

    type: Literal["aws_tgw"] = Field(
        default="aws_tgw", description="Which component this is.", examples=["aws_tgw"]
    )


class AwsTgwDecoder(AwsDecoder[AwsTgwDecoderConfig]):
    """Decodes AWS Transit Gateway flow logs."""

    dialect: ClassVar[Dialect] = TGW


def sniff(head: Head) -> Sniff | None:
    """Claim objects whose header line, columns or first record are those of Transit Gateway logs."""
    return sniff_aws(head, TGW)
