"""Zeek's conn.log as its default writer prints it: tab-separated values below header lines.

Source: Zeek documentation, "Zeek Log Formats and Inspection" and "conn.log".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ktrans_generate.columns import Coded, Column
from ktrans_generate.logs.json_sheet import ICMP, TCP, UDP, JsonLog, Sheet

_FIELDS = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"),
    ("id.resp_h", "addr"), ("id.resp_p", "port"), ("proto", "enum"), ("service", "string"),
    ("duration", "interval"), ("orig_bytes", "count"), ("resp_bytes", "count"),
    ("conn_state", "string"), ("local_orig", "bool"), ("local_resp", "bool"),
    ("missed_bytes", "count"), ("history", "string"), ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"), ("resp_pkts", "count"), ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
)  # fmt: skip
_SERVICES = {443: "ssl", 80: "http", 53: "dns", 22: "ssh", 123: "ntp"}
_PACKET_HEADER = 40


class ZeekConn(JsonLog):
    """Connections with the counters of both directions; refused ones have no duration."""

    ending: ClassVar[str] = ".log"
    row_bytes = 190

    def head(self) -> bytes:
        """Return the header lines."""
        names, types = ("\t".join(column) for column in zip(*_FIELDS, strict=True))
        lines = (
            "#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-",
            "#path\tconn", "#open\t2026-05-04-08-00-00", f"#fields\t{names}", f"#types\t{types}",
        )  # fmt: skip
        return "".join(f"{line}\n" for line in lines).encode()

    def tail(self) -> bytes:
        """Return the line that Zeek writes when it closes a log."""
        return b"#close\t2026-05-04-09-00-00\n"

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        ports = list(_SERVICES)
        service = np.select([flows.dst_port == port for port in ports], range(1, len(ports) + 1), 0)
        codes = np.select([flows.protocol == TCP, flows.protocol == UDP], [0, 1], 2)
        state = np.where(flows.reject, 0, np.where(flows.protocol == TCP, 1, 2))
        return [
            flows.start, ".305988\tC", 1_000_000_000 + sheet.number(), "\t", sheet.src, "\t",
            flows.src_port, "\t", sheet.dst, "\t", flows.dst_port, "\t",
            Coded.of(["tcp", "udp", "icmp"], codes), "\t",
            Coded.of(["-", *_SERVICES.values()], np.where(flows.protocol == ICMP, 0, service)), "\t",
            self._duration(sheet), "\t", sheet.octets, "\t", np.where(flows.reject, 0, flows.octets * 3),
            "\t", Coded.of(["REJ", "SF", "SHR"], state), "\t", Coded.of(["F", "T"], flows.egress),
            "\t", Coded.of(["F", "T"], ~flows.egress), "\t0\t",
            Coded.of(["Sr", "ShADadFf", "Dd"], state), "\t", flows.packets, "\t",
            flows.octets + flows.packets * _PACKET_HEADER, "\t",
            np.where(flows.reject, 1, flows.packets), "\t",
            np.where(flows.reject, 0, flows.octets * 3) + flows.packets * _PACKET_HEADER, "\t-",
        ]  # fmt: skip

    @staticmethod
    def _duration(sheet: Sheet) -> Coded:
        seconds = np.where(sheet.flows.reject, -1, sheet.flows.end - sheet.flows.start)
        distinct, codes = np.unique(seconds, return_inverse=True)
        return Coded.of(["-" if n < 0 else f"{n}.066851" for n in distinct.tolist()], codes)


CONN = ZeekConn()
