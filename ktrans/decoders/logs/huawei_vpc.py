"""Huawei Cloud and Open Telekom Cloud VPC flow logs: text of 14 fields, as LTS hands it out.

Source: Huawei Cloud, Virtual Private Cloud User Guide, "VPC Flow Log"; the same page of the Open
Telekom Cloud. The format is that of AWS's version 2, with a project in the account's place, UUIDs
as interfaces, and 1 as version; it cannot be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.decoder import AwsDecoder, AwsTextConfig
from ktrans.decoders.aws.default_only import has_version, matching, sniff_records
from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.fields import Field as NativeField
from ktrans.decoders.aws.layout import Dialect

_UUID = r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_PROJECT = r"^[0-9A-Fa-f]{32}$"
_TELLING = {"project-id": _PROJECT, "interface-id": _UUID}
_VERSION = 1

HUAWEI_FIELDS = tuple(
    NativeField("project-id", "text", "account_id") if field.name == "account-id" else field
    for field in VPC_FIELDS
    if field.name in VPC_DEFAULT
)


def _is_default(columns: Mapping[str, Any]) -> np.ndarray:
    """Tell which rows of 14 fields are of version 1 with a project and a UUID as interface."""
    rows = matching(columns, _TELLING)
    rows &= has_version(columns, _VERSION)
    return rows


HUAWEI = Dialect(
    decoder="huawei_vpc",
    log_type="huawei.vpc",
    fields=HUAWEI_FIELDS,
    default=tuple(field.name for field in HUAWEI_FIELDS),
    guess=_is_default,
    guess_fields=("version", *_TELLING),
    provider="huawei",
)


class HuaweiVpcDecoderConfig(AwsTextConfig):
    """Options of the `huawei_vpc` decoder."""

    dialect: ClassVar[Dialect] = HUAWEI

    type: Literal["huawei_vpc"] = Field(
        default="huawei_vpc", description="Which component this is.", examples=["huawei_vpc"]
    )


class HuaweiVpcDecoder(AwsDecoder[HuaweiVpcDecoderConfig]):
    """Decodes Huawei Cloud VPC flow logs."""

    dialect: ClassVar[Dialect] = HUAWEI


def sniff(head: Head) -> Sniff | None:
    """Claim text whose first record is of version 1 with a project and a UUID as interface."""
    return sniff_records(head, HUAWEI, {"version": "^1$", **_TELLING})
