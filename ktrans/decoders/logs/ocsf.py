"""OCSF Network Activity records: Amazon Security Lake's Parquet, JSON lines, and our own `to_ocsf`.

Records of other classes are skipped. `-` in texts and `Accepted` as a reject reason mean nothing and
are null; doubles that are whole numbers are numbers. traffic.bytes counts from source to destination
where a record has no bytes_out, as in Security Lake's VPC flow logs. Attributes without a flow column
go to attrs under their path; those of `unmapped` under their own names.

Source: OCSF schema, class network_activity (4001); Amazon Security Lake User Guide, "Open Cybersecurity
Schema Framework".
"""

from __future__ import annotations

from collections.abc import Mapping

from ktrans.api import Head, Sniff
from ktrans.decoders.log import LIKELY, Json, Log, Parquet, col, where
from ktrans.decoders.logs.ocsf_derived import READS, derive
from ktrans.decoders.mapped.table import parse_path
from ktrans.flow.schema import NAMES
from ktrans.flow.target_schemas.ocsf import OCSF_LEFTOVERS

_MARKS = frozenset({"class_uid", "src_endpoint", "dst_endpoint", "connection_info", "traffic"})
_ENOUGH = 4
_PROVIDERS: Mapping[str, str | None] = {
    "google cloud": "gcp",
    "google": "gcp",
    "microsoft": "azure",
    "ms azure": "azure",
    "oracle": "oci",
    "kubernetes": "k8s",
    "unknown": None,
}
_VERDICTS: Mapping[str, str | None] = {
    **{str(number): None for number in range(100)},
    "1": "accept",
    "2": "reject",
    "6": "drop",
    "allowed": "accept",
    "denied": "reject",
    "blocked": "reject",
    "dropped": "drop",
    "unknown": None,
    "other": None,
}
_DIRECTIONS: Mapping[str, str | None] = {
    **{str(number): None for number in range(100)},
    "1": "ingress",
    "2": "egress",
    "inbound": "ingress",
    "outbound": "egress",
    "unknown": None,
    "lateral": None,
    "local": None,
    "other": None,
}
_OBSERVERS: Mapping[str, str | None] = {
    **{str(number): None for number in range(100)},
    "1": "source",
    "2": "destination",
    "3": "firewall",
}

_CAPTIONS = (
    "activity_name",
    "activity_id",
    "category_name",
    "category_uid",
    "class_name",
    "class_uid",
    "severity",
    "severity_id",
    "type_name",
    "type_uid",
    "observables",
    "observation_point",
    "metadata.version",
    "metadata.profiles",
    "metadata.product.vendor_name",
    "metadata.product.feature.name",
    "connection_info.boundary",
    "connection_info.boundary_id",
    "connection_info.protocol_name",
    "duration",
)


def _sniff(head: Head) -> Sniff | None:
    """Claim Parquet files with the columns of the class, and JSON with its uid."""
    if head.columns is not None:
        found = _MARKS & set(head.columns)
        if len(found) < _ENOUGH:
            return None
        return Sniff(LIKELY, f"Parquet columns are {len(found)} of OCSF's Network Activity")
    data = head.data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not data.startswith((b"{", b"[")):
        return None
    seen = [mark for mark in sorted(_MARKS) if f'"{mark}"'.encode() in data]
    if "class_uid" not in seen or len(seen) < _ENOUGH - 1:
        return None
    return Sniff(LIKELY, f"JSON with {', '.join(seen)}, as OCSF's Network Activity has them")


LOG = Log(
    "ocsf",
    provider=None,
    log_type=None,
    frames=(Parquet(), Json(arrays=(("records",), ("Records",)))),
    columns=(
        col("provider", "cloud.provider", lower=True, values=_PROVIDERS),
        col("log_version", "metadata.log_version", "metadata.product.version"),
        col("record_id", "metadata.uid"),
        col("start_time", "start_time", "start_time_dt", "time", "time_dt"),
        col("end_time", "end_time", "end_time_dt"),
        col("logged_at", "metadata.logged_time", "metadata.logged_time_dt"),
        col("src_addr", "src_endpoint.ip"),
        col("dst_addr", "dst_endpoint.ip"),
        col("src_port", "src_endpoint.port"),
        col("dst_port", "dst_endpoint.port"),
        col("src_service", "src_endpoint.svc_name"),
        col("dst_service", "dst_endpoint.svc_name"),
        col("protocol", "connection_info.protocol_num", "connection_info.protocol_name"),
        col("ip_version", "connection_info.protocol_ver_id", "connection_info.protocol_ver"),
        col("tcp_flags", "connection_info.tcp_flags"),
        col("packets", "traffic.packets_out", "traffic.packets"),
        col("bytes", "traffic.bytes_out", "traffic.bytes"),
        col("packets_rev", "traffic.packets_in"),
        col("bytes_rev", "traffic.bytes_in"),
        col(
            "direction",
            "connection_info.direction_id",
            "connection_info.direction",
            values=_DIRECTIONS,
        ),
        col("reporter", "observation_point_id", values=_OBSERVERS),
        col("action", "disposition_id", "action_id", "disposition", "action", values=_VERDICTS),
        col(
            "action_reason",
            "status_detail",
            "unmapped.reject_reason",
            "unmapped.reject-reason",
            values={"accepted": None},
        ),
        col("rule", "firewall_rule.name"),
        col("acl_id", "policy.uid"),
        col("log_status", "status_code"),
        col(
            "account_id",
            "cloud.account.uid",
            "cloud.account.uuid",
            "cloud.account_uid",
            "accountid",
        ),
        col("region", "cloud.region", "region"),
        col("zone", "cloud.zone"),
        *(col(name, f"unmapped.{name}") for name in OCSF_LEFTOVERS if name in NAMES),
    ),
    objects=(("unmapped",),),
    reads=READS,
    always=frozenset({"direction"}),
    hidden=frozenset({*(parse_path(path) for path in _CAPTIONS), *READS}),
    skip=where("class_uid", not_="4001"),
    derive=derive,
    sniff=_sniff,
)
