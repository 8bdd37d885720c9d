"""VPC flow logs as in Amazon Security Lake: OCSF's class Network Activity, as JSON lines.

Sources: OCSF schema 1.1.0, class network_activity; Amazon Security Lake User Guide, "Open
Cybersecurity Schema Framework".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.columns import Coded, Column
from ktrans_generate.logs.json_sheet import JsonLog, Sheet

_STATUSES = ["OK", "NODATA", "SKIPDATA"]
_PRODUCT = '{"metadata":{"product":{"name":"Amazon VPC","vendor_name":"AWS","version":"5"},'
_CLASS = (
    '"activity_id":6,"activity_name":"Traffic","category_uid":4,"class_uid":4001,'
    '"class_name":"Network Activity","type_uid":400106,"severity_id":1,"severity":"Informational",'
)


class Ocsf(JsonLog):
    """OCSF Network Activity; the interface is described at its side of the flow."""

    row_bytes = 1000

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        return [
            *self._head(sheet),
            '"src_endpoint":{"ip":"', sheet.src, '","port":', flows.src_port,
            self._place(sheet, source=True), '},"dst_endpoint":{"ip":"', sheet.dst, '","port":',
            flows.dst_port, self._place(sheet, source=False),
            '},"connection_info":{"protocol_num":', flows.protocol, ',"protocol_ver":"',
            Coded.of(["IPv4", "IPv6"], flows.v6), '","tcp_flags":', flows.flags,
            ',"direction_id":', sheet.way("1", "2"), ',"direction":"',
            sheet.way("Inbound", "Outbound"), '"},"traffic":{"packets":', flows.packets,
            ',"bytes":', sheet.octets, '},"action_id":', sheet.verdict("1", "2"),
            ',"disposition":"', sheet.verdict("Allowed", "Blocked"), '"}',
        ]  # fmt: skip

    def empty_parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template of a record without data."""
        return [
            *self._head(sheet),
            '"src_endpoint":{"ip":null},"dst_endpoint":{"ip":null},"connection_info":{},"traffic":{}}',
        ]

    @staticmethod
    def _head(sheet: Sheet) -> Sequence[Column]:
        flows, world = sheet.flows, sheet.world
        return [
            _PRODUCT, '"profiles":["cloud","security_control"],"version":"1.1.0"},',
            '"cloud":{"account":{"uid":"', sheet.by_host(world.accounts), '"},"region":"',
            sheet.by_host(world.regions), '","zone":"', sheet.by_host(world.zones),
            '","provider":"AWS"},', _CLASS, '"time":', flows.start * 1000, ',"start_time":',
            flows.start * 1000, ',"end_time":', flows.end * 1000, ',"status_code":"',
            Coded.of(_STATUSES, flows.status), '",',
        ]  # fmt: skip

    @staticmethod
    def _place(sheet: Sheet, *, source: bool) -> Column:
        """Describe the interface at one side; nothing at the other."""
        world, flows = sheet.world, sheet.flows
        places = pc.binary_join_element_wise(
            ',"vpc_uid":"', pa.array(world.vpcs), '","subnet_uid":"', pa.array(world.subnets),
            '","interface_uid":"', pa.array(world.interfaces), '"', "",
        )  # fmt: skip
        values = pa.concat_arrays([pa.array([""], pa.string()), places])
        here = flows.egress == source
        return Coded(values, np.where(here, flows.host + 1, 0).astype(np.int32))


OCSF = Ocsf()
