"""A plain Python loop over Azure VNet flow logs, as a script would do it.

python azure_python.py INPUT_GLOB OUTPUT
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 50_000
NAMES = (
    "start", "src", "dst", "src_port", "dst_port", "protocol", "direction", "state", "encryption",
    "packets", "bytes", "packets_rev", "bytes_rev",
)  # fmt: skip
NUMBERS = {n for n in NAMES if n not in ("src", "dst", "direction", "state", "encryption")}
TEXTS = ("time", "mac", "acl", "rule")
SCHEMA = pa.schema(
    [(n, pa.string()) for n in TEXTS]
    + [(n, pa.int64() if n in NUMBERS else pa.string()) for n in NAMES]
)


def rows(path: Path) -> Iterator[dict[str, object]]:
    """Give the tuples of a file as dictionaries."""
    with gzip.open(path) as file:
        document = json.load(file)
    for record in document["records"]:
        for flow in record["flowRecords"]["flows"]:
            for group in flow["flowGroups"]:
                for text in group["flowTuples"]:
                    row: dict[str, object] = {
                        "time": record["time"],
                        "mac": record["macAddress"],
                        "acl": flow["aclID"],
                        "rule": group["rule"],
                    }
                    for name, value in zip(NAMES, text.split(","), strict=True):
                        row[name] = int(value) if name in NUMBERS else value
                    yield row


def main(pattern: str, output: str) -> None:
    """Convert."""
    with pq.ParquetWriter(output, SCHEMA, compression="zstd") as writer:
        batch: list[dict[str, object]] = []
        for path in sorted(Path(pattern).parent.glob(Path(pattern).name)):
            for row in rows(path):
                batch.append(row)
                if len(batch) == BATCH:
                    writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
                    batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))


if __name__ == "__main__":
    main(*sys.argv[1:])
