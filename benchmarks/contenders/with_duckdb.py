"""DuckDB doing the bare conversion: gzip text into typed columns, and out. No enrichment.

python with_duckdb.py INPUT_GLOB LAYOUT OUTPUT parquet|jsonl|influx
"""

from __future__ import annotations

import sys

import duckdb
from layouts import LAYOUTS, TEXT

OPTIONS = {
    "parquet": "(format parquet, compression zstd)",
    "jsonl": "(format json)",
    "influx": "(format csv, header false, quote '', delimiter '\x01')",
}
LINES = (
    "select 'flows,src=' || srcaddr || ',dst=' || dstaddr || ',action=' || action || ' packets=' "
    "|| packets || 'i,bytes=' || bytes || 'i ' || start || '000000000' as line from ({rows})"
)


def main(glob: str, layout: str, output: str, form: str) -> None:
    """Convert."""
    fields, wanted = LAYOUTS[layout]
    columns = ", ".join(
        f"'{name}': '{'VARCHAR' if kind == TEXT else kind}'" for name, kind in fields.items()
    )
    picked = ", ".join(f'"{name}"' for name in wanted)
    rows = (
        f"select {picked} from read_csv('{glob}', delim=' ', header=true, nullstr='-', quote='', "
        f"escape='', auto_detect=false, columns={{{columns}}})"
    )
    if form == "influx":
        rows = LINES.format(rows=rows)
    duckdb.execute(f"copy ({rows}) to '{output}' {OPTIONS[form]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
