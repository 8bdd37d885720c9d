"""Names of fields as other tools write them, and tables that are not recognised by what makes a flow."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.api import RejectError
from ktrans.decoders.names import COLUMN_OF, plain_name
from ktrans.flow.schema import NAMES

RECORD = "10.0.0.1 10.0.0.2 40000 443 6 10 900 1700000000 1700000060"
HEADERS = [
    "srcaddr dstaddr srcport dstport protocol packets bytes start end",
    "src_addr dst_addr src_port dst_port protocol packets bytes start_time end_time",
    "srcAddr dstAddr srcPort dstPort protocol packets bytes startTime endTime",
    "SRC-ADDR DST-ADDR SRC-PORT DST-PORT PROTOCOL PACKETS BYTES START END",
    "source_ip dest_ip source_port dest_port proto pkts octets first last",
]


def parquet(columns):
    sink = io.BytesIO()
    pq.write_table(pa.table({name: ["10.0.0.1"] for name in columns}), sink)
    return sink.getvalue()


def test_aliases_are_for_flow_columns():
    assert set(COLUMN_OF.values()) <= set(NAMES)
    assert plain_name("src_addr") == plain_name("srcAddr") == plain_name("SRC-ADDR")


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("decoder", ["auto", "aws_vpc"])
def test_a_header_line_may_have_the_names_of_other_tools(run, header, decoder):
    [row] = run([header, RECORD], decoder).rows
    assert (row["src_addr"], row["dst_addr"], row["dst_port"]) == ("10.0.0.1", "10.0.0.2", 443)
    assert (row["packets"], row["bytes"]) == (10, 900)
    assert row["start_time"].timestamp() == 1700000000
    assert row["end_time"].timestamp() == 1700000060


@pytest.mark.parametrize(
    ("decoder", "columns"),
    [
        ("aws_vpc", ["src_addr", "bytes", "protocol", "start"]),
        ("aws_vpc", ["srcaddr", "dstaddr", "when", "bytes"]),
        ("ktrans", ["src_addr", "start_time", "log_type"]),
        ("ktrans", ["src_addr", "dst_addr", "log_type"]),
        ("ocsf", ["class_uid", "time"]),
        ("auto", ["src_addr", "bytes", "protocol", "start_time"]),
    ],
)
def test_a_table_without_addresses_or_times_is_refused_with_its_names(run, decoder, columns):
    with pytest.raises(RejectError) as refused:
        run(parquet(columns), decoder)
    assert all(name in str(refused.value) for name in columns)


def test_a_lake_with_some_of_our_columns_is_ours(run):
    columns = ["src_addr", "dst_addr", "protocol", "action", "log_status", "account_id"]
    table = {name: ["10.0.0.1"] for name in columns} | {"start_time": [1700000000]}
    table["protocol"] = ["6"]
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink)
    [row] = run(sink.getvalue(), "auto").rows
    assert (row["src_addr"], row["provider"]) == ("10.0.0.1", None)
    assert row["start_time"].timestamp() == 1700000000


def test_a_csv_without_a_mapped_address_is_refused_with_its_columns(run):
    fields = {"src_addr": "src", "dst_addr": "dst", "start_time": "ts"}
    with pytest.raises(RejectError, match="no column dst for dst_addr; there are ts, src, dest"):
        run(["ts,src,dest", "1,::1,::2"], "flow_csv", fields=fields)
