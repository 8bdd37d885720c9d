"""Enrichers that hold rows back, in real runs: the ledger adds up, and a kill changes nothing."""

from __future__ import annotations

import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.config.load import load_pipeline
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.registry.catalogue import Catalogue

PIPELINE = """
name: held
source: {{type: file, paths: [logs]}}
decoder: {{type: aws_vpc}}
enrichers:
  - {enricher}
  - {{type: community_id}}
sinks:
  - id: lake
    type: file
    path: lake/
    format: {{type: parquet}}
rejects: {{type: file, path: rejects/}}
state: {{path: state/state.db}}
engine: {{workers: 2, epoch_splits: 4, task_size: 1, retry_wait: 0.01}}
"""


def line(interface, source, destination, packets, size, start):
    ends = f"{source[0]} {destination[0]} {source[1]} {destination[1]}"
    return f"2 111122223333 {interface} {ends} 6 {packets} {size} {start} {start + 5} ACCEPT OK\n"


def write_logs(folder, *, files=8, connections=200, both_interfaces=False):
    """Write logs of connections, each direction in a file of its own; give the sums of counters."""
    (folder / "logs").mkdir(parents=True)
    rng = random.Random(3)
    texts = [""] * files
    packets = size = 0
    for number in range(connections * files // 2):
        client, server = (f"10.0.0.{number % 250}", 40_000 + number), ("10.1.0.1", 443)
        place, start = 2 * (number % (files // 2)), 1_760_000_000 + number
        if both_interfaces:
            flows = [("eni-1", client, server), ("eni-2", client, server)]
        else:
            flows = [("eni-1", client, server), ("eni-1", server, client)]
        for side, flow in enumerate(flows):
            counts = rng.randrange(1, 100), rng.randrange(1, 10_000)
            texts[place + side] += line(*flow, *counts, start + rng.randrange(3))
            packets, size = packets + counts[0], size + counts[1]
    for number, text in enumerate(texts):
        (folder / "logs" / f"{number:02}.log").write_text(text)
    return packets, size


def write_pipeline(folder, enricher):
    path = folder / "pipeline.yaml"
    path.write_text(PIPELINE.format(enricher=enricher))
    return path


def lake(folder):
    tables = [pq.ParquetFile(path).read() for path in sorted((folder / "lake").rglob("*.parquet"))]
    return pa.concat_tables(tables)


def go(path):
    catalogue = Catalogue()
    receipt = run(load_pipeline(path, catalogue), catalogue, RunOptions())
    assert receipt.error is None
    return receipt


def total(table, name):
    return sum(value or 0 for value in table.column(name).to_pylist())


@pytest.mark.parametrize("memory", [0, 1 << 28])
def test_stitched_rows_and_the_ledger_add_up(tmp_path, memory):
    packets, size = write_logs(tmp_path)
    path = write_pipeline(tmp_path, f"{{type: stitch, memory: {memory}}}")
    receipt = go(path)
    assert receipt.epochs == 2
    stage = receipt.ledger.stages[0]
    assert (stage.came_in.rows, stage.went_out.rows, stage.filtered.rows) == (1600, 800, 800)
    assert (stage.came_in.packets, stage.came_in.bytes) == (packets, size)
    table = lake(tmp_path)
    assert table.num_rows == 800
    assert set(table.column("dst_port").to_pylist()) == {443}
    assert len(set(table.column("community_id").to_pylist())) == 800
    assert total(table, "packets") + total(table, "packets_rev") == packets
    assert total(table, "bytes") + total(table, "bytes_rev") == size
    assert total(table, "bytes") == stage.went_out.bytes == receipt.ledger.stages[-2].went_out.bytes


def test_what_is_quarantined_is_in_the_ledger(tmp_path):
    packets, size = write_logs(tmp_path, both_interfaces=True)
    receipt = go(write_pipeline(tmp_path, "{type: one_report}"))
    stage = receipt.ledger.stages[0]
    assert (stage.came_in.rows, stage.went_out.rows, stage.filtered.rows) == (1600, 800, 800)
    table = lake(tmp_path)
    assert set(table.column("interface_id").to_pylist()) == {"eni-1"}
    assert total(table, "packets") == stage.went_out.packets == packets - stage.filtered.packets
    assert total(table, "bytes") == stage.went_out.bytes == size - stage.filtered.bytes


@pytest.mark.slow
def test_kills_change_nothing(tmp_path):
    enricher = "{type: stitch, memory: 100000, max_rows: 700}"
    clean, killed = tmp_path / "clean", tmp_path / "killed"
    for folder in (clean, killed):
        write_logs(folder, files=16, connections=500)
    go(write_pipeline(clean, enricher))
    path = write_pipeline(killed, enricher)
    rng = random.Random(5)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(path)], stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=rng.uniform(0.3, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    receipt = go(path)
    assert receipt.outcome in ("done", "nothing_to_do")
    columns = ["src_addr", "src_port", "bytes", "bytes_rev", "packets_rev", "community_id"]
    expected = lake(clean).select(columns).to_pylist()
    assert len(expected) < 8000
    assert lake(killed).select(columns).to_pylist() == expected
