"""Reads an output back with DuckDB and prints what it holds, as JSON.

python check.py FOLDER parquet|rollup|jsonl|influx
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

JSON = "read_json([{files}], format='newline_delimited', columns={{packets: 'bigint', bytes: 'bigint'}})"
LINES = "read_csv([{files}], header=false, delim='\x01', quote='', escape='', columns={{line: 'varchar'}})"


def main(folder: str, form: str) -> None:
    """Count rows and add up packets and bytes."""
    paths = [p for p in sorted(Path(folder).rglob("*")) if p.is_file() and p.stat().st_size]
    files = ", ".join(f"'{path}'" for path in paths)
    query = "select count(*), sum(packets), sum(bytes) from "
    if not paths:
        print(json.dumps({"rows": 0, "packets": 0, "bytes": 0}))
        return
    if form == "rollup":
        query = query.replace("count(*)", "sum(flows)")
    if form in ("parquet", "rollup"):
        query += f"read_parquet([{files}], hive_partitioning=false)"
    elif form == "jsonl":
        query += JSON.format(files=files)
    else:
        query = (
            "select count(*), sum(regexp_extract(line, '[ ,]packets=([0-9]+)i', 1)::bigint), "
            "sum(regexp_extract(line, '[ ,]bytes=([0-9]+)i', 1)::bigint) from "
        ) + LINES.format(files=files)
    counts = duckdb.execute(query).fetchall()[0]
    print(json.dumps(dict(zip(("rows", "packets", "bytes"), counts, strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
