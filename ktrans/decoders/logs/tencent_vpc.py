"""Tencent Cloud flow logs of network interfaces: text of 14 fields, as CLS hands it out.

Source: Tencent Cloud, Flow Logs, "Flow log records". The format is that of AWS's version 2. Counters
that were not taken are `-` or -1.
"""

from __future__ import annotations

from functools import partial

from ktrans.api import Head, Sniff
from ktrans.decoders.aws.fields import VPC_DEFAULT, VPC_FIELDS
from ktrans.decoders.aws.layout import Dialect
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import matching, sniff_records

NULLS = ("-", "-1")
_MARKS = {"account-id": r"^[0-9]{9,12}$", "interface-id": r"^eni-[0-9a-z]{8}$"}
_WEAK = 60
"""AWS's old interface ids look the same, so any surer claim on a record takes precedence."""


def _sniff(head: Head, dialect: Dialect) -> Sniff | None:
    """Claim, weakly, text of the 14 fields with a Tencent account and interface.

    A header line says nothing, since AWS's logs have fields of the same names.
    """
    claim = sniff_records(head, dialect, _MARKS, score=_WEAK)
    return claim if claim is not None and claim.score == _WEAK else None


LOG = TextLog(
    name="tencent_vpc",
    log_type="tencent.vpc",
    provider="tencent",
    fields=tuple(field for field in VPC_FIELDS if field.name in VPC_DEFAULT),
    default=VPC_DEFAULT,
    guess=partial(matching, patterns=_MARKS),
    guess_fields=tuple(_MARKS),
    null_values=NULLS,
    sniff=_sniff,
)
