"""Tencent Cloud flow logs of Cloud Connect Networks: text of 16 fields, as CLS hands it out.

Source: Tencent Cloud, Flow Logs, "Flow log records". The traffic is that between regions; REJECT means
that it was over the bandwidth limit. Counters that were not taken are `-` or -1.
"""

from __future__ import annotations

from functools import partial

from ktrans.decoders.aws.fields import VPC_FIELDS, Field
from ktrans.decoders.aws.log import TextLog
from ktrans.decoders.aws.recognise import matching, sniff_records
from ktrans.decoders.logs.tencent_vpc import NULLS

_MARKS = {"ccn-id": r"^ccn-[0-9a-z]+$"}
_KNOWN = {field.name: field for field in VPC_FIELDS}
_FIELDS = (
    _KNOWN["version"],
    Field("region-id", "text", "region"),
    Field("ccn-id", "text", "vpc_id"),
    *(_KNOWN[name] for name in ("srcaddr", "dstaddr", "srcport", "dstport", "protocol")),
    Field("srcregionid"),
    Field("dstregionid"),
    *(_KNOWN[name] for name in ("packets", "bytes", "start", "end", "action", "log-status")),
)

LOG = TextLog(
    name="tencent_ccn",
    log_type="tencent.ccn",
    provider="tencent",
    fields=_FIELDS,
    default=tuple(field.name for field in _FIELDS),
    guess=partial(matching, patterns=_MARKS),
    guess_fields=tuple(_MARKS),
    null_values=NULLS,
    sniff=partial(sniff_records, patterns=_MARKS),
)
