"""Real Security Lake records and Huawei Cloud lines, if KTRANS_SAMPLES names a folder of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ktrans.api import BytesPayload, Context, Split
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.registry.catalogue import Catalogue

FOLDER = os.environ.get("KTRANS_SAMPLES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KTRANS_SAMPLES names no folder")


def decode(pattern):
    [path] = Path(FOLDER).glob(pattern)
    decoder = AutoDecoder(AutoDecoderConfig(), Context(registry=Catalogue()))
    decoder.schema(None)
    done = [
        decoder.decode(block)
        for block in decoder.blocks(BytesPayload(Split("o", str(path)), path.read_bytes()))
    ]
    assert not any(part.rejects for part in done)
    return [row for part in done for row in part.batch.to_pylist()], decoder.choices()


def test_security_lake_parquet_that_went_through_pandas():
    rows, choices = decode("aws/*/security-lake-ocsf-*.parquet")
    assert next(iter(choices.values())).startswith("ocsf")
    assert [row["action"] for row in rows] == ["accept", "accept", "reject"]
    assert [row["direction"] for row in rows] == ["ingress", "egress", "ingress"]
    for row in rows:
        assert row["log_type"] == "aws.vpc"
        assert row["src_service"] != "-"
        assert row["dst_service"] is None
        assert row["protocol"] == 6
        assert row["bytes"] > 0
        assert row["end_time"] > row["start_time"]
        assert row["interface_id"].startswith("eni-")


def test_huawei_lines_of_all_three_states():
    rows, choices = decode("huawei/*/*.log")
    assert next(iter(choices.values())).startswith("huawei_vpc")
    assert [row["log_status"] for row in rows] == ["OK", "NODATA", "SKIPDATA"]
    assert [row["bytes"] for row in rows] == [96, None, None]
