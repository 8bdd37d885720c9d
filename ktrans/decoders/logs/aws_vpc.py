"""AWS VPC flow logs, versions 2 to 11: text with or without a header, CloudWatch, Parquet.

Source: AWS VPC User Guide, "Flow log records".
"""

from __future__ import annotations

from functools import partial

from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import has_version, sniff_aws

LOG = TextLog(
    name="aws_vpc",
    log_type="aws.vpc",
    fields=VPC_FIELDS,
    default=VPC_DEFAULT,
    guess=partial(has_version, version=2),
    guess_fields=("version",),
    sniff=sniff_aws,
)
