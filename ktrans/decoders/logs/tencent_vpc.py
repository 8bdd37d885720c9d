"""Tencent Cloud flow logs as CLS hands them out: of interfaces, and of CCN between regions.

Source: Tencent Cloud, Flow Logs, "Flow log records". Interfaces are logged in the 14 fields of
AWS's version 2; cross-region traffic of a Cloud Connect Network in 16 fields, where REJECT means
that the traffic was over the bandwidth limit. Counters that were not taken are `-` or -1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.decoder import AwsDecoder, AwsTextConfig
from ktrans.decoders.aws.default_only import matching, sniff_records
from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.fields import Field as NativeField
from ktrans.decoders.aws.layout import Dialect

_NULLS = ("-", "-1")
_ENI = {"account-id": r"^[0-9]{9,12}$", "interface-id": r"^eni-[0-9a-z]{8}$"}
_CCN = {"ccn-id": r"^ccn-[0-9a-z]+$"}
_WEAK = 60
"""AWS's old interface ids look the same, so any surer claim on a record takes precedence."""

_KNOWN = {field.name: field for field in VPC_FIELDS}
ENI_FIELDS = tuple(_KNOWN[name] for name in VPC_DEFAULT)
CCN_FIELDS = (
    _KNOWN["version"],
    NativeField("region-id", "text", "region"),
    NativeField("ccn-id", "text", "vpc_id"),
    *(_KNOWN[name] for name in ("srcaddr", "dstaddr", "srcport", "dstport", "protocol")),
    NativeField("srcregionid"),
    NativeField("dstregionid"),
    *(_KNOWN[name] for name in ("packets", "bytes", "start", "end", "action", "log-status")),
)


def _is_eni(columns: Mapping[str, Any]) -> np.ndarray:
    """Tell which rows of 14 fields have an account and an interface as Tencent writes them."""
    return matching(columns, _ENI)


def _is_ccn(columns: Mapping[str, Any]) -> np.ndarray:
    """Tell which rows of 16 fields have a CCN third."""
    return matching(columns, _CCN)


ENI = Dialect(
    decoder="tencent_vpc",
    log_type="tencent.vpc",
    fields=ENI_FIELDS,
    default=VPC_DEFAULT,
    guess=_is_eni,
    guess_fields=tuple(_ENI),
    provider="tencent",
    null_values=_NULLS,
)
CCN = Dialect(
    decoder="tencent_ccn",
    log_type="tencent.ccn",
    fields=CCN_FIELDS,
    default=tuple(field.name for field in CCN_FIELDS),
    guess=_is_ccn,
    guess_fields=tuple(_CCN),
    provider="tencent",
    null_values=_NULLS,
)


class TencentVpcDecoderConfig(AwsTextConfig):
    """Options of the `tencent_vpc` decoder."""

    dialect: ClassVar[Dialect] = ENI

    type: Literal["tencent_vpc"] = Field(
        default="tencent_vpc", description="Which component this is.", examples=["tencent_vpc"]
    )


class TencentVpcDecoder(AwsDecoder[TencentVpcDecoderConfig]):
    """Decodes flow logs of Tencent Cloud's network interfaces."""

    dialect: ClassVar[Dialect] = ENI


class TencentCcnDecoderConfig(AwsTextConfig):
    """Options of the `tencent_ccn` decoder."""

    dialect: ClassVar[Dialect] = CCN

    type: Literal["tencent_ccn"] = Field(
        default="tencent_ccn", description="Which component this is.", examples=["tencent_ccn"]
    )


class TencentCcnDecoder(AwsDecoder[TencentCcnDecoderConfig]):
    """Decodes flow logs of Tencent Cloud's cross-region traffic."""

    dialect: ClassVar[Dialect] = CCN


def sniff(head: Head) -> Sniff | None:
    """Claim, weakly, text of the 14 fields with a Tencent account and interface.

    A header line does not tell it from AWS's logs, whose fields have the same names.
    """
    claim = sniff_records(head, ENI, _ENI, score=_WEAK)
    return claim if claim is not None and claim.score == _WEAK else None


def sniff_ccn(head: Head) -> Sniff | None:
    """Claim text of the 16 fields with a CCN third."""
    return sniff_records(head, CCN, _CCN)
