"""AWS VPC flow logs, versions 2 to 11: text with or without a header, CloudWatch, Parquet.

Source: AWS VPC User Guide, "Flow log records".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import has_version, sniff_aws

_DEFAULT_VERSION = 2


def _is_default(columns: Mapping[str, Any]) -> np.ndarray:
    """Return which rows of 14 fields begin with version 2."""
    return has_version(columns, _DEFAULT_VERSION)


LOG = TextLog(
    name="aws_vpc",
    log_type="aws.vpc",
    fields=VPC_FIELDS,
    default=VPC_DEFAULT,
    guess=_is_default,
    guess_fields=("version",),
    sniff=sniff_aws,
)
