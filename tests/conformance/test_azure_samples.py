"""Real Azure flow logs, if KTRANS_SAMPLES names a folder of them: `azure/<project>/...`.

Neither project has expected output beside its samples; what is compared comes from another reading
of the same bytes, by the json module.
"""

import ipaddress
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ktrans.api import BytesPayload, Context, Limits, Split
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.registry.catalogue import Catalogue

FOLDER = os.environ.get("KTRANS_SAMPLES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KTRANS_SAMPLES names no folder")

LOGS = {
    "nsg-v1-sample.json": "azure.nsg",
    "nsg-v2-sample.json": "azure.nsg",
    "vnet-flow-log-sample.json": "azure.vnet",
    "vnet-PT1H.json": "azure.vnet",
}
EXAMPLES = {
    "nsg-v2-bandwidth-example-tuples.txt": {"category": "NetworkSecurityGroupFlowEvent", "properties": {"flows": [{"flows": [{}]}]}},
    "vnet-bandwidth-example-tuples.txt": {"category": "FlowLogFlowEvent", "flowRecords": {"flows": [{"flowGroups": [{}]}]}},
}  # fmt: skip


def find(name):
    found = sorted(Path(FOLDER, "azure").rglob(name))
    if not found:
        pytest.skip(f"no {name} among the samples")
    return found[0]


def decode(name, data, block_bytes=4 << 20):
    context = Context(registry=Catalogue(), limits=Limits(block_bytes=block_bytes))
    decoder = AutoDecoder(AutoDecoderConfig(), context)
    decoder.schema(None)
    rows = []
    for block in decoder.blocks(BytesPayload(Split(name, name), data)):
        done = decoder.decode(block)
        assert done.rejects is None
        assert done.skipped == 0
        rows += done.batch.to_pylist()
    return rows


def tuples(node, rule=None):
    """Return rule and fields of each tuple of a document."""
    if isinstance(node, list):
        for item in node:
            yield from tuples(item, rule)
    elif isinstance(node, dict):
        rule = node.get("rule", rule)
        for text in node.get("flowTuples", ()):
            yield rule, text.split(",")
        for name, value in node.items():
            if name != "flowTuples":
                yield from tuples(value, rule)


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("block", [300, 4 << 20])
def test_every_tuple_is_a_row_with_its_values(name, block):
    data = find(name).read_bytes()
    rows = decode(name, data, block)
    known = list(tuples(json.loads(data)))
    assert len(rows) == len(known) > 0
    for row, (rule, fields) in zip(rows, known, strict=True):
        seconds = int(fields[0]) / (1000 if len(fields[0]) > 10 else 1)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        assert abs(row["start_time"] - moment) < timedelta(microseconds=2)
        assert [row["src_addr"], row["dst_addr"]] == [
            str(ipaddress.ip_address(f)) for f in fields[1:3]
        ]
        assert [str(row["src_port"]), str(row["dst_port"])] == fields[3:5]
        assert row["protocol"] == {"T": 6, "U": 17}.get(fields[5]) or int(fields[5])
        assert (row["log_type"], row["rule"]) == (LOGS[name], rule)
        denied = fields[7] == "D"
        assert row["action"] == ("reject" if denied else "accept")
        if len(fields) == 13 and not denied and "B" not in fields[7:9]:
            counters = [row[n] for n in ("packets", "bytes", "packets_rev", "bytes_rev")]
            assert counters == [int(f) for f in fields[9:]]
        else:
            assert row["bytes"] is row["packets_rev"] is None


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_bandwidth_example_adds_up(name):
    """Microsoft's page adds the packets and bytes of the C and E tuples of both directions."""
    record = json.loads(json.dumps(EXAMPLES[name]))
    lines = find(name).read_text().split()
    body = record.get("properties") or record["flowRecords"]
    groups = body["flows"][0].get("flows") or body["flows"][0]["flowGroups"]
    groups[0]["flowTuples"] = lines
    rows = decode(name, json.dumps({"records": [record]}).encode())
    assert [row["flow_state"] for row in rows] == ["begin", "continue", "end"]
    packets = sum((row["packets"] or 0) + (row["packets_rev"] or 0) for row in rows)
    octets = sum((row["bytes"] or 0) + (row["bytes_rev"] or 0) for row in rows)
    assert (packets, octets) == (1021 + 52 + 8005 + 47, 588096 + 29952 + 4610880 + 27072)
