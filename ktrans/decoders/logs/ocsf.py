"""OCSF Network Activity records: Amazon Security Lake's Parquet, JSON lines, and our own `to_ocsf`.

Source: OCSF schema, class network_activity (uid 4001); Amazon Security Lake User Guide.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ktrans.api import ComponentConfig, Head, Sniff
from ktrans.decoders.logs.ocsf_table import TABLE
from ktrans.decoders.read.parquet_mapped import TableDecoder

_SURE = 95
_MARKS = frozenset({"class_uid", "src_endpoint", "dst_endpoint", "connection_info", "traffic"})
_ENOUGH = 4


class OcsfDecoderConfig(ComponentConfig):
    """Options of the `ocsf` decoder."""

    type: Literal["ocsf"] = Field(
        default="ocsf", description="Which component this is.", examples=["ocsf"]
    )


class OcsfDecoder(TableDecoder[OcsfDecoderConfig]):
    """Decodes OCSF Network Activity records from Parquet and JSON.

    Records of other classes are skipped. `-` in texts and `Accepted` as a reject reason say nothing
    and are null; doubles that are whole numbers are numbers. traffic.bytes counts as the way from
    source to destination where a record has no bytes_out, as in Security Lake's VPC flow logs.
    """

    table = TABLE
    unwrap = ("records", "Records")


def sniff(head: Head) -> Sniff | None:
    """Claim Parquet files with the columns of the class, and JSON with its uid."""
    if head.columns is not None:
        found = _MARKS & set(head.columns)
        if len(found) < _ENOUGH:
            return None
        return Sniff(_SURE, f"Parquet columns are {len(found)} of OCSF's Network Activity")
    data = head.data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not data.startswith((b"{", b"[")):
        return None
    seen = [mark for mark in sorted(_MARKS) if f'"{mark}"'.encode() in data]
    if "class_uid" not in seen or len(seen) < _ENOUGH - 1:
        return None
    return Sniff(_SURE, f"JSON with {', '.join(seen)}, as OCSF's Network Activity has them")
