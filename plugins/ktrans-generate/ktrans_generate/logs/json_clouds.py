"""VPC flow logs of Oracle, Alibaba and IBM: JSON, one template a log.

Sources: the documents named in the decoders of the same logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.columns import Coded, Column
from ktrans_generate.flows import Flows
from ktrans_generate.logs.json_sheet import TCP, UDP, JsonLog, Sheet, stamps


class OciVcn(JsonLog):
    """Oracle Cloud VCN flow logs as Connector Hub delivers them."""

    row_bytes = 900

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template of a data event."""
        flows = sheet.flows
        return [
            '{"datetime":', flows.start * 1000, ',"logContent":{"data":{"action":"',
            sheet.verdict("ACCEPT", "REJECT"), '","bytesOut":', sheet.octets,
            ',"destinationAddress":"', sheet.dst, '","destinationPort":', flows.dst_port,
            ',"endTime":', flows.end, ',"flowid":"f', flows.host.astype(np.int64),
            '","packets":', flows.packets, ',"protocol":', flows.protocol,
            ',"protocolName":"', sheet.protocol_name(), '","sourceAddress":"', sheet.src,
            '","sourcePort":', flows.src_port, ',"startTime":', flows.start,
            ',"status":"OK","version":"2"},', *self._tail(sheet, "DataEvent"),
        ]  # fmt: skip

    def empty_parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template of a quality event."""
        flows = sheet.flows
        status = Coded.of(["OK", "NODATA", "SKIPDATA"], flows.status)
        return [
            '{"datetime":', flows.start * 1000, ',"logContent":{"data":{"action":null,',
            '"sourceAddress":null,"startTime":', flows.start, ',"endTime":', flows.end,
            ',"status":"', status, '","version":"2"},',
            *self._tail(sheet, Coded.of(["", "QualityEvent.NoData", "QualityEvent.SkipData"], flows.status)),
        ]  # fmt: skip

    @staticmethod
    def _tail(sheet: Sheet, kind: Column) -> Sequence[Column]:
        world = sheet.world
        region = sheet.by_host(world.regions)
        return [
            '"id":"r', sheet.number() % 1000, '","oracle":{"compartmentid":"ocid1.compartment.oc1..',
            sheet.by_host(world.accounts), '","ingestedtime":"', stamps(sheet.flows.end, ".250Z"),
            '","logid":"ocid1.log.oc1.', region, ".", sheet.by_host(world.vpcs),
            '","tenantid":"ocid1.tenancy.oc1..example","vnicocid":"ocid1.vnic.oc1.', region, ".",
            sheet.by_host(world.interfaces), '","vnicsubnetocid":"ocid1.subnet.oc1.', region, ".",
            sheet.by_host(world.subnets), '"},"source":"-","specversion":"1.0","time":"',
            stamps(sheet.flows.start, ".000Z"), '","type":"com.oraclecloud.vcn.flowlogs.', kind,
            '"}}',
        ]  # fmt: skip


class AlibabaVpc(JsonLog):
    """Alibaba Cloud VPC flow logs as Simple Log Service ships them: every value a text."""

    row_bytes = 520

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template."""
        flows = sheet.flows
        return [
            *self._head(sheet), '","srcaddr":"', sheet.src, '","srcport":"', flows.src_port,
            '","dstaddr":"', sheet.dst, '","dstport":"', flows.dst_port, '","protocol":"',
            flows.protocol, '","packets":"', flows.packets, '","bytes":"', sheet.octets,
            '","action":"', sheet.verdict("ACCEPT", "REJECT"), '","tcp-flags":"', flows.flags,
            '","traffic_path":"', Coded.of(["-", "1", "7"], np.where(flows.egress, 1 + ~flows.internal, 0)),
            '","log-status":"OK"}',
        ]  # fmt: skip

    def empty_parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template of a record without data."""
        blank = ("srcaddr", "srcport", "dstaddr", "dstport", "protocol", "packets", "bytes")
        dashes = "".join(f'","{name}":"-' for name in (*blank, "action", "tcp-flags"))
        status = Coded.of(["OK", "NODATA", "SKIPDATA"], sheet.flows.status)
        return [*self._head(sheet), f'{dashes}","log-status":"', status, '"}']

    @staticmethod
    def _head(sheet: Sheet) -> Sequence[Column]:
        world, flows = sheet.world, sheet.flows
        return [
            '{"__topic__":"flow_log","__time__":"', flows.end, '","version":"1","account-id":"',
            sheet.by_host(world.accounts), '","eni-id":"', sheet.by_host(world.interfaces),
            '","vm-id":"', sheet.by_host(world.instances), '","vswitch-id":"',
            sheet.by_host(world.subnets), '","vpc-id":"', sheet.by_host(world.vpcs),
            '","region":"', sheet.by_host(world.regions), '","direction":"',
            sheet.way("in", "out"), '","start":"', flows.start, '","end":"', flows.end,
        ]  # fmt: skip


class IbmVpc(JsonLog):
    """IBM Cloud VPC flow logs: one document an object, IPv4 with TCP and UDP only."""

    row_bytes = 560

    def head(self) -> bytes:
        """Open the document with the header of an interface."""
        crn = "crn:v1:bluemix:public:is:eu-de:a/111122223333::"
        return (
            f'{{"version":"0.0.1","collector_crn":"{crn}flow-log-collector:r010-c1",'
            '"attached_endpoint_type":"vnic","network_interface_id":"0717-nic-1",'
            f'"instance_crn":"{crn}instance:0717-i1","vpc_crn":"{crn}vpc:r010-v1",'
            '"capture_start_time":"2026-05-04T08:00:00Z","capture_end_time":"2026-05-04T08:05:00Z",'
            '"state":"ok","flow_logs":['
        ).encode()

    def tail(self) -> bytes:
        """Close the document."""
        return b"]}\n"

    def prepared(self, flows: Flows) -> Flows:
        """Change flows to IPv4, TCP and UDP."""
        known = np.isin(flows.protocol, (TCP, UDP))
        return replace(
            flows, v6=np.zeros_like(flows.v6), protocol=np.where(known, flows.protocol, UDP)
        )

    def torn(self, lines: pa.Array) -> pa.Array:
        """Replace a record: a torn one would damage the whole document."""
        return pa.repeat(pa.scalar("[]", pa.string()), len(lines))

    def finished(self, lines: pa.Array, first: int) -> pa.Array:
        """Put commas between records."""
        commas = Coded.of(["", ","], np.arange(first, first + len(lines)) > 0).array()
        return pc.binary_join_element_wise(commas, lines, "")

    def parts(self, sheet: Sheet) -> Sequence[Column]:
        """Fill the template of a flow."""
        flows = sheet.flows
        start, end = stamps(flows.start, "Z"), stamps(flows.end, "Z")
        return [
            '{"start_time":"', start, '","end_time":"', end, '","connection_start_time":"', start,
            '","direction":"', sheet.way("I", "O"), '","action":"',
            sheet.verdict("accepted", "rejected"), '","initiator_ip":"', sheet.src,
            '","target_ip":"', sheet.dst, '","initiator_port":', flows.src_port,
            ',"target_port":', flows.dst_port, ',"transport_protocol":', flows.protocol,
            ',"ether_type":"IPv4","was_initiated":', Coded.of(["false", "true"], flows.peer % 2),
            ',"was_terminated":', Coded.of(["false", "true"], flows.peer % 3 == 0),
            ',"bytes_from_initiator":', sheet.octets, ',"packets_from_initiator":', flows.packets,
            ',"bytes_from_target":', np.where(flows.reject, 0, flows.octets // 2),
            ',"packets_from_target":', np.where(flows.reject, 0, flows.packets),
            ',"cumulative_bytes_from_initiator":', flows.octets * 3,
            ',"cumulative_packets_from_initiator":', flows.packets * 3, "}",
        ]  # fmt: skip


OCI_VCN = OciVcn()
IBM_VPC = IbmVpc()
ALIBABA_VPC = AlibabaVpc()
