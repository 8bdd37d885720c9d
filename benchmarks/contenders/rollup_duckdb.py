"""DuckDB's totals of AWS's version 2: bytes, packets and flows by window and some fields.

python rollup_duckdb.py INPUT_GLOB OUTPUT WINDOW_SECS FIELD...
"""

from __future__ import annotations

import sys

import duckdb
from layouts import LAYOUTS, TEXT


def main(glob: str, output: str, window_secs: str, *fields: str) -> None:
    """Add up."""
    layout, _ = LAYOUTS["v2"]
    columns = ", ".join(
        f"'{name}': '{'VARCHAR' if kind == TEXT else kind}'" for name, kind in layout.items()
    )
    groups = ", ".join(f'"{name}"' for name in fields)
    duckdb.execute(
        f"copy (select start // {window_secs} * {window_secs} as window_start, {groups}, "
        "sum(bytes)::bigint as bytes, sum(packets)::bigint as packets, count(*) as flows "
        f"from read_csv('{glob}', delim=' ', header=true, nullstr='-', quote='', escape='', "
        f"auto_detect=false, columns={{{columns}}}) group by all) "
        f"to '{output}' (format parquet, compression zstd)"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
