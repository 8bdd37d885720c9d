"""Real Google Cloud flow logs, if KTRANS_SAMPLES names a folder of them, against other tools' reading.

The folder holds `gcp/<project>/...`; expected values come from the files beside the logs.
"""

import json
import os
import re
from pathlib import Path

import pytest

from ktrans.api import BytesPayload, Context, Split
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.registry.catalogue import Catalogue

FOLDER = os.environ.get("KTRANS_SAMPLES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KTRANS_SAMPLES names no folder")
SAMPLES = sorted(Path(FOLDER or "/nowhere", "gcp").rglob("*.*json"))

OTEL = {
    "log.record.uid": "record_id",
    "source.address": "src_addr",
    "destination.address": "dst_addr",
    "source.port": "src_port",
    "destination.port": "dst_port",
    "gcp.vpc.flow.bytes_sent": "bytes",
    "gcp.vpc.flow.packets_sent": "packets",
    "gcp.vpc.flow.source.vpc.name": "src_vpc",
    "gcp.vpc.flow.destination.vpc.name": "dst_vpc",
    "gcp.vpc.flow.source.google_service.name": "src_service",
    "gcp.vpc.flow.destination.google_service.name": "dst_service",
}
REPORTERS = {"SRC": "source", "DEST": "destination"}
PAIR = re.compile(r'- key: (\S+)\n\s+value:\n\s+(?:string|int|double)Value: "?([^"\n]*)"?')


def decode(path):
    decoder = AutoDecoder(AutoDecoderConfig(), Context(registry=Catalogue()))
    decoder.schema(None)
    rows = []
    for block in decoder.blocks(BytesPayload(Split("k", path.name), path.read_bytes())):
        done = decoder.decode(block)
        assert done.rejects is None
        assert done.skipped == 0
        rows += done.batch.to_pylist()
    assert decoder.choices()[path.name].startswith("gcp_vpc:")
    return rows


def leaves(value, above=""):
    """Return every value of a record by its path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{above}.{name}" if above else name)
    else:
        yield above, value


def records(path):
    text = path.read_text()
    return (
        [json.loads(text)] if path.suffix == ".json" else list(map(json.loads, text.splitlines()))
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_nothing_of_a_record_is_lost(path):
    rows, given = decode(path), records(path)
    assert len(rows) == len(given)
    for row, record in zip(rows, given, strict=True):
        shown = json.dumps({k: str(v) for k, v in row.items() if k != "attrs"})
        attrs = dict(row["attrs"])
        for name, value in leaves(record):
            ends = name.rsplit(".", 1)[-1]
            if name in attrs or ends.endswith(("time", "timestamp", "msec", "reporter")):
                continue
            near = " ".join(text for key, text in attrs.items() if name.startswith(key))
            assert str(value) in shown or str(value) in near or json.dumps(
                value, separators=(",", ":")
            ) in near, name  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [p for p in SAMPLES if p.with_name(f"{p.stem}_expected.yaml").exists()],
    ids=lambda path: path.name,
)
def test_values_agree_with_the_collector(path):
    text = path.with_name(f"{path.stem}_expected.yaml").read_text()
    expected = text.split("logRecords:")[1:]
    rows = decode(path)
    if path.suffix == ".json":  # one record; the file beside it may belong to the lines
        ids = [row["record_id"] for row in rows]
        expected = [part for part in expected if any(f": {i}\n" in part for i in ids)]
    assert len(rows) == len(expected)
    for row, part in zip(rows, expected, strict=True):
        pairs = dict(PAIR.findall(part.partition("- resource:")[0]))
        compared = {column: pairs[key] for key, column in OTEL.items() if key in pairs}
        assert len(compared) >= 4
        assert {column: str(row[column]) for column in compared} == compared
        if "gcp.vpc.flow.reporter" in pairs:
            assert row["reporter"] == REPORTERS[pairs["gcp.vpc.flow.reporter"]]
