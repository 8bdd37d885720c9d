"""Huawei Cloud and Open Telekom Cloud VPC flow logs: text of 14 fields, as LTS hands it out.

Source: Huawei Cloud, Virtual Private Cloud User Guide, "VPC Flow Log"; the same page of the Open
Telekom Cloud. The format is that of AWS's version 2, with a project in the account's place, UUIDs
as interfaces, and 1 as version; it cannot be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.fields import Field as NativeField
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import has_version, matching, sniff_records

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
    """Return which rows of 14 fields are of version 1 with a project and a UUID as interface."""
    rows = matching(columns, _TELLING)
    rows &= has_version(columns, _VERSION)
    return rows


LOG = TextLog(
    name="huawei_vpc",
    log_type="huawei.vpc",
    fields=HUAWEI_FIELDS,
    default=tuple(field.name for field in HUAWEI_FIELDS),
    guess=_is_default,
    guess_fields=("version", *_TELLING),
    provider="huawei",
    sniff=partial(sniff_records, patterns={"version": "^1$", **_TELLING}),
)
