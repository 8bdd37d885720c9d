"""DuckDB over Azure VNet flow logs: unnest the groups, split the tuples, write typed columns.

python azure_duckdb.py INPUT_GLOB OUTPUT
"""

from __future__ import annotations

import sys

import duckdb

RECORD = (
    "STRUCT(time TIMESTAMPTZ, macAddress VARCHAR, flowLogResourceID VARCHAR, flowRecords STRUCT("
    "flows STRUCT(aclID VARCHAR, flowGroups STRUCT(rule VARCHAR, flowTuples VARCHAR[])[])[]))"
)
QUERY = f"""
copy (
  with records as (
    select unnest(records) as r
    from read_json('{{glob}}', format='unstructured', maximum_object_size=1073741824,
                   columns={{{{'records': '{RECORD}[]'}}}})
  ),
  flows as (select r, unnest(r.flowRecords.flows) as f from records),
  groups as (select r, f.aclID as acl, unnest(f.flowGroups) as g from flows),
  tuples as (
    select r.time as time, r.macAddress as mac, acl, g.rule as rule,
           string_split(unnest(g.flowTuples), ',') as t
    from groups
  )
  select time, mac, acl, rule, epoch_ms(t[1]::bigint) as start, t[2] as src, t[3] as dst,
         t[4]::int as src_port, t[5]::int as dst_port, t[6]::int as protocol, t[7] as direction,
         t[8] as state, t[9] as encryption, t[10]::bigint as packets, t[11]::bigint as bytes,
         t[12]::bigint as packets_rev, t[13]::bigint as bytes_rev
  from tuples
) to '{{output}}' (format parquet, compression zstd)
"""


def main(glob: str, output: str) -> None:
    """Convert."""
    duckdb.execute(QUERY.format(glob=glob, output=output))


if __name__ == "__main__":
    main(*sys.argv[1:])
