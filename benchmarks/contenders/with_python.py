"""A plain Python loop over rows, as a script would do it: split, convert, look up, write Parquet.

python with_python.py INPUT_GLOB NETWORKS OUTPUT
"""

from __future__ import annotations

import csv
import gzip
import ipaddress
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 50_000
NUMBERS = {"version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end"}
SERVICES = {443: "https", 80: "http", 53: "domain", 22: "ssh", 123: "ntp", 5432: "postgresql"}


def main(pattern: str, networks: str, output: str) -> None:
    """Convert."""
    by_length: dict[int, dict[int, str]] = {}
    with Path(networks).open(newline="") as file:
        for row in csv.DictReader(file):
            net = ipaddress.ip_network(row["prefix"])
            by_length.setdefault(net.prefixlen, {})[int(net.network_address)] = row["name"]
    tables = sorted(by_length.items(), reverse=True)

    def lookup(text: str) -> str | None:
        if ":" in text:
            return None
        number = int(ipaddress.IPv4Address(text))
        for length, names in tables:
            name = names.get(number >> (32 - length) << (32 - length))
            if name:
                return name
        return None

    writer = None
    batch: list[dict[str, object]] = []
    for path in sorted(Path(pattern).parent.glob(Path(pattern).name)):
        with gzip.open(path, "rt") as lines:
            header = next(lines).split()
            for line in lines:
                row: dict[str, object] = {}
                for name, value in zip(header, line.split(), strict=True):
                    row[name] = None if value == "-" else int(value) if name in NUMBERS else value
                row["src_network"] = lookup(row["srcaddr"])
                row["dst_network"] = lookup(row["dstaddr"])
                row["service"] = SERVICES.get(row["dstport"]) or SERVICES.get(row["srcport"])
                batch.append(row)
                if len(batch) == BATCH:
                    writer = _write(writer, batch, output)
                    batch = []
    writer = _write(writer, batch, output)
    writer.close()


def _write(
    writer: pq.ParquetWriter | None, rows: list[dict[str, object]], output: str
) -> pq.ParquetWriter:
    names = [*rows[0]] if rows else writer.schema.names
    schema = pa.schema([(n, pa.int64() if n in NUMBERS else pa.string()) for n in names])
    writer = writer or pq.ParquetWriter(output, schema, compression="zstd")
    writer.write_table(pa.Table.from_pylist(rows, schema))
    return writer


if __name__ == "__main__":
    main(*sys.argv[1:])
