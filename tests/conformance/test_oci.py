"""Real VCN flow logs, if KTRANS_SAMPLES names a folder of them."""

import json
import os
from pathlib import Path

import pytest

from ktrans.api import BytesPayload, Context, Split
from ktrans.registry.catalogue import Catalogue

FOLDER = os.environ.get("KTRANS_SAMPLES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KTRANS_SAMPLES names no folder")


def test_every_record_is_a_row_that_says_the_same():
    paths = sorted((Path(FOLDER or ".") / "oci").rglob("*.json"))
    if not paths:
        pytest.skip("no VCN flow logs among the samples")
    catalogue = Catalogue()
    for path in paths:
        data = path.read_bytes()
        config = catalogue.config("decoder", {"type": "auto"})
        decoder = catalogue.build("decoder", config, Context(registry=catalogue))
        decoder.schema(None)
        done = [decoder.decode(b) for b in decoder.blocks(BytesPayload(Split("s", "s"), data))]
        rows = [row for part in done for row in part.batch.to_pylist()]
        records = [json.loads(line) for line in data.splitlines() if line.strip()]
        assert len(rows) == len(records)
        assert not any(part.rejects for part in done)
        for row, record in zip(rows, records, strict=True):
            content = record.get("logContent", record)
            values = content["data"]
            assert row["src_addr"] == values["sourceAddress"]
            assert row["dst_port"] == values["destinationPort"]
            assert row["bytes"] == values["bytesOut"]
            assert row["start_time"].timestamp() == values["startTime"]
            assert row["interface_id"] == content["oracle"]["vnicocid"]
