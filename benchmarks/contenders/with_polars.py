"""Polars doing the bare conversion: gzip text into typed columns, and out. No enrichment.

python with_polars.py INPUT_GLOB LAYOUT OUTPUT parquet|jsonl
"""

from __future__ import annotations

import sys

import polars as pl
from layouts import LAYOUTS

TYPES = {"INTEGER": pl.Int32, "BIGINT": pl.Int64, "TEXT": pl.String}


def main(glob: str, layout: str, output: str, form: str) -> None:
    """Convert."""
    fields, wanted = LAYOUTS[layout]
    rows = pl.scan_csv(
        glob,
        separator=" ",
        null_values="-",
        quote_char=None,
        schema={name: TYPES[kind] for name, kind in fields.items()},
    ).select(wanted)
    if form == "parquet":
        rows.sink_parquet(output, compression="zstd")
    else:
        rows.sink_ndjson(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
