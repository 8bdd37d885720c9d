"""DuckDB over GCP VPC flow log entries: read_json into typed columns, and out.

python gcp_duckdb.py INPUT_GLOB all|ten OUTPUT
"""

from __future__ import annotations

import sys

import duckdb

TEN = """{
  jsonPayload: 'STRUCT(connection STRUCT(src_ip VARCHAR, dest_ip VARCHAR, src_port INTEGER,
    dest_port INTEGER, protocol SMALLINT), packets_sent BIGINT, bytes_sent BIGINT,
    start_time TIMESTAMPTZ, end_time TIMESTAMPTZ, disposition VARCHAR)'
}"""
QUERIES = {
    "all": """select *, jsonPayload.packets_sent::bigint as packets,
        jsonPayload.bytes_sent::bigint as bytes
        from read_json('{glob}', format='newline_delimited')""",
    "ten": f"""select flow.start_time, flow.end_time, flow.connection.src_ip as src_addr,
        flow.connection.dest_ip as dst_addr, flow.connection.src_port as src_port,
        flow.connection.dest_port as dst_port, flow.connection.protocol as protocol,
        flow.packets_sent as packets, flow.bytes_sent as bytes, flow.disposition as action
        from (select jsonPayload as flow from
              read_json('{{glob}}', format='newline_delimited', columns={TEN}))""",
}


def main(glob: str, what: str, output: str) -> None:
    """Convert."""
    query = QUERIES[what].replace("{glob}", glob)
    duckdb.execute(f"copy ({query}) to '{output}' (format parquet, compression zstd)")


if __name__ == "__main__":
    main(*sys.argv[1:])
