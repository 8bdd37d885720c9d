"""AWS VPC flow logs, versions 2 to 11: text with or without a header, CloudWatch, Parquet.

Source: AWS VPC User Guide, "Flow log records".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.decoder import AwsDecoder, AwsTextConfig
from ktrans.decoders.aws.default_only import has_version
from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.layout import Dialect
from ktrans.decoders.aws.sniff import sniff_aws

_DEFAULT_VERSION = 2


def _is_default(columns: Mapping[str, Any]) -> np.ndarray:
    """Tell which rows of 14 fields begin with version 2."""
    return has_version(columns, _DEFAULT_VERSION)


VPC = Dialect(
    decoder="aws_vpc",
    log_type="aws.vpc",
    fields=VPC_FIELDS,
    default=VPC_DEFAULT,
    guess=_is_default,
    guess_fields=("version",),
)


class AwsVpcDecoderConfig(AwsTextConfig):
    """Options of the `aws_vpc` decoder."""

    dialect: ClassVar[Dialect] = VPC

    type: Literal["aws_vpc"] = Field(
        default="aws_vpc", description="Which component this is.", examples=["aws_vpc"]
    )


class AwsVpcDecoder(AwsDecoder[AwsVpcDecoderConfig]):
    """Decodes AWS VPC flow logs."""

    dialect: ClassVar[Dialect] = VPC


def sniff(head: Head) -> Sniff | None:
    """Claim objects whose header line, columns or first record are those of VPC flow logs."""
    return sniff_aws(head, VPC)
