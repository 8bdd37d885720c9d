"""Flow rows as OCSF Network Activity: valid by the published schema, and true to the log."""

from __future__ import annotations

import datetime as dt
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.api import ConfigError
from ktrans.enrichers.to_ocsf import ToOcsfEnricher, ToOcsfEnricherConfig
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.formats.jsonl import JsonlFormat, JsonlFormatConfig
from ktrans.formats.parquet import ParquetFormat, ParquetFormatConfig

T0 = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, dt.UTC)

# OCSF schema 1.6.0: what `requirement: required` and `constraints: at_least_one` say of the class
# network_activity (with base_event and the profile cloud) and of the objects that it refers to.
REQUIRED = {
    "": [
        "activity_id",
        "category_uid",
        "class_uid",
        "cloud",
        "metadata",
        "severity_id",
        "time",
        "type_uid",
    ],
    "metadata": ["product", "version"],
    "cloud": ["provider"],
    "connection_info": ["direction_id"],
}
AT_LEAST_ONE = {
    "": ["src_endpoint", "dst_endpoint"],
    "metadata.product": ["name", "uid"],
    "src_endpoint": ["ip", "name", "hostname", "uid", "svc_name", "instance_uid", "interface_uid"],
    "dst_endpoint": ["ip", "name", "hostname", "uid", "svc_name", "instance_uid", "interface_uid"],
    "firewall_rule": ["name", "uid"],
}
ENUMS = {
    "activity_id": {0, 1, 2, 3, 4, 5, 6, 7, 99},
    "severity_id": {0, 1, 2, 3, 4, 5, 6, 99},
    "action_id": {0, 1, 2, 3, 4, 99},
    "disposition_id": {*range(28), 99},
    "observation_point_id": {0, 1, 2, 3, 4, 99},
    "connection_info.direction_id": {0, 1, 2, 3, 4, 99},
    "connection_info.boundary_id": {*range(12), 99},
    "connection_info.protocol_ver_id": {0, 4, 6, 99},
}
KINDS = {
    **dict.fromkeys(["time", "start_time", "end_time", "type_uid"], pa.int64()),
    **dict.fromkeys(["activity_id", "category_uid", "class_uid", "severity_id"], pa.int32()),
    "src_endpoint.port": pa.int32(),
    "traffic.bytes": pa.int64(),
    "traffic.packets_in": pa.int64(),
    "connection_info.tcp_flags": pa.int32(),
    "metadata.logged_time": pa.int64(),
}


def flow(**changes):
    return {
        "provider": "aws",
        "log_type": "aws.vpc",
        "log_version": 5,
        "start_time": T0,
        "end_time": T0 + dt.timedelta(seconds=58),
        "src_addr": "10.0.0.1",
        "dst_addr": "192.0.2.9",
        "src_port": 40000,
        "dst_port": 443,
        "protocol": 6,
        "ip_version": 4,
        "packets": 3,
        "bytes": 500,
        "tcp_flags": 18,
        "direction": "egress",
        "reporter": "source",
        "action": "accept",
        "log_status": "OK",
        "account_id": "012345678901",
        "region": "eu-west-1",
        "vpc_id": "vpc-1",
        "subnet_id": "subnet-1",
        "interface_id": "eni-1",
        "instance_id": "i-1",
        "attrs": [("traffic-path", "8"), ("sublocation-type", "outpost")],
        "source_uri": "mem://a",
        "source_pos": 1,
        **changes,
    }


def batch(*rows):
    return pa.RecordBatch.from_pylist(list(rows), schema=FLOW_SCHEMA)


def reshape(rows, **options):
    enricher = ToOcsfEnricher(ToOcsfEnricherConfig(**options))
    given = batch(*rows)
    schema = enricher.bind(given.schema)
    out = enricher.apply(given)
    out.validate(full=True)
    assert out.schema.equals(schema, check_metadata=True)
    return out


def record(options=None, **changes):
    [row] = reshape([flow(**changes)], **(options or {})).to_pylist()
    return row


def at(value, path):
    for name in path.split(".") if path else ():
        value = None if value is None else value.get(name)
    return value


VARIED = [
    flow(),
    flow(direction="ingress", reporter="destination", action="reject"),
    flow(direction=None, reporter="interface", action=None, attrs=None),
    flow(provider="gcp", log_type="gcp.vpc", action="drop", bytes=None, packets_dropped=4),
    flow(provider="azure", log_type="azure.vnet", bytes_rev=7, packets_rev=1, flow_state="begin"),
    flow(dst_addr=None, protocol=None, ip_version=None, src_port=None, tcp_flags=None),
    flow(provider=None, log_type="new.log", rule="allow-all", acl_id="nsg-1", end_time=None),
]


def test_every_record_has_what_the_schema_requires():
    for row in reshape(VARIED).to_pylist():
        for path, names in REQUIRED.items():
            if at(row, path) is not None:
                assert all(at(row, path).get(name) is not None for name in names), path
        for path, names in AT_LEAST_ONE.items():
            if at(row, path) is not None:
                assert any(at(row, path).get(name) is not None for name in names), path


def test_values_are_of_the_schemas_enums_and_types():
    out = reshape(VARIED)
    for row in out.to_pylist():
        for path, allowed in ENUMS.items():
            assert at(row, path) is None or at(row, path) in allowed, path
        assert row["type_uid"] == row["class_uid"] * 100 + row["activity_id"]
        assert (row["category_uid"], row["class_uid"]) == (4, 4001)
    for path, kind in KINDS.items():
        node = out.schema
        for name in path.split("."):
            field = node.field(name)
            node = field.type
        assert field.type == kind, path


def test_numbers_that_are_no_protocol_have_no_name():
    given = [6, 255, 256, -1, 32767, None, 1]
    rows = reshape([flow(protocol=number) for number in given]).to_pylist()
    names = [row["connection_info"]["protocol_name"] for row in rows]
    assert names == ["tcp", "protocol 255", None, None, None, None, "icmp"]


def with_column(given, name, values):
    """Return rows with another column in the place of one, as `derive` makes it."""
    at_ = given.schema.get_field_index(name)
    return given.set_column(at_, pa.field(name, values.type), values)


def test_numbers_too_large_for_the_record_are_left_out():
    ports = pa.array([443, 1 << 40, -1 << 40, None, (1 << 31) - 1], pa.int64())
    given = with_column(batch(*[flow()] * 5), "dst_port", ports)
    enricher = ToOcsfEnricher(ToOcsfEnricherConfig())
    enricher.bind(given.schema)
    made = [row["dst_endpoint"]["port"] for row in enricher.apply(given).to_pylist()]
    assert made == [443, None, None, None, (1 << 31) - 1]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("dst_port", pa.array(["https"])),
        ("bytes", pa.array([1.5])),
        ("start_time", pa.array(["noon"])),
        ("attrs", pa.array(["a=b"])),
    ],
)
def test_a_column_of_another_type_is_an_error_of_the_configuration(name, values):
    given = with_column(batch(flow()), name, values)
    with pytest.raises(ConfigError, match=name) as error:
        ToOcsfEnricher(ToOcsfEnricherConfig()).bind(given.schema)
    assert error.value.code == "column_type"


def test_a_row_says_what_the_log_said():
    row = record()
    assert row["activity_name"] == "Traffic"
    assert row["time"] == row["start_time"] == int(T0.timestamp() * 1000)
    assert row["metadata"]["product"] == {"name": "Amazon VPC", "vendor_name": "AWS"}
    assert row["metadata"]["profiles"] == ["cloud", "security_control"]
    assert row["cloud"]["account"] == {"uid": "012345678901"}
    assert row["src_endpoint"] == {
        "ip": "10.0.0.1",
        "port": 40000,
        "intermediate_ips": None,
        "svc_name": None,
        "vpc_uid": "vpc-1",
        "subnet_uid": "subnet-1",
        "interface_uid": "eni-1",
        "instance_uid": "i-1",
    }
    assert row["dst_endpoint"]["vpc_uid"] is None
    info = row["connection_info"]
    assert (info["protocol_num"], info["protocol_name"], info["protocol_ver_id"]) == (6, "tcp", 4)
    assert (info["direction_id"], info["boundary_id"], info["boundary"]) == (
        2,
        11,
        "Internet Gateway",
    )
    assert (row["action_id"], row["disposition_id"]) == (1, 1)
    assert dict(row["unmapped"]) == {"traffic-path": "8", "sublocation-type": "outpost"}


def test_the_capture_point_belongs_to_the_side_it_is_on():
    row = record(direction="ingress", reporter="destination")
    assert row["dst_endpoint"]["interface_uid"] == "eni-1"
    assert row["src_endpoint"]["interface_uid"] is None
    assert row["observation_point_id"] == 2


def test_a_capture_point_on_no_known_side_goes_to_unmapped():
    row = record(direction=None, reporter="interface")
    assert row["src_endpoint"]["interface_uid"] is row["dst_endpoint"]["interface_uid"] is None
    assert dict(row["unmapped"])["interface_id"] == "eni-1"
    assert dict(row["unmapped"])["traffic-path"] == "8"


def test_endpoints_are_the_packets_own_addresses_with_the_interfaces_between():
    row = record(src_pkt_addr="10.9.9.9", dst_pkt_addr="192.0.2.9")
    assert row["src_endpoint"]["ip"] == "10.9.9.9"
    assert row["src_endpoint"]["intermediate_ips"] == ["10.0.0.1"]
    assert row["dst_endpoint"]["intermediate_ips"] is None


def test_case_67_totals_are_claimed_only_where_both_directions_are_known():
    one_way, both = record()["traffic"], record(bytes_rev=70, packets_rev=2)["traffic"]
    assert (one_way["bytes"], one_way["bytes_out"], one_way["bytes_in"]) == (None, 500, None)
    assert (both["bytes"], both["packets"], both["bytes_in"]) == (570, 5, 70)
    loose = record({"one_way_totals": True})["traffic"]
    assert (loose["bytes"], loose["packets"]) == (500, 3)


def test_case_02_rows_without_addresses_are_left_out_and_case_03_those_with_data_stay():
    nothing = flow(src_addr=None, dst_addr=None, log_status="NODATA")
    odd = flow(log_status="NODATA", bytes=9)
    out = reshape([flow(), nothing, odd])
    assert [row["status_code"] for row in out.to_pylist()] == ["OK", "NODATA"]


@pytest.mark.parametrize(
    ("action", "state", "activity", "disposition"),
    [
        ("accept", None, 6, 1),
        ("accept", "begin", 1, 1),
        ("accept", "end", 2, 1),
        ("reject", "begin", 5, 2),
        ("drop", None, 5, 6),
        (None, "continue", 6, 0),
    ],
)
def test_action_and_state_make_the_activity(action, state, activity, disposition):
    row = record(action=action, flow_state=state)
    assert (row["activity_id"], row["disposition_id"]) == (activity, disposition)


def test_other_clouds_traffic_paths_are_not_read_as_those_of_aws():
    row = record(provider="alibaba", log_type="alibaba.vpc")
    assert row["connection_info"]["boundary_id"] is None


def test_older_versions_have_no_attributes_of_newer_ones():
    old = reshape(VARIED, version="1.1.0")
    assert "observation_point_id" not in old.schema.names
    assert "policy" not in old.schema.names
    assert old.to_pylist()[0]["metadata"]["version"] == "1.1.0"


def test_the_profiles_decide_what_is_there():
    out = reshape(VARIED, profiles=["datetime"], unmapped=False)
    assert not {"cloud", "action_id", "unmapped"} & set(out.schema.names)
    row = out.to_pylist()[0]
    assert row["time_dt"] == T0
    assert row["metadata"]["profiles"] == ["datetime"]


def test_kept_and_extra_columns_stand_beside_and_inside():
    row = record({"keep": ["region"], "extra": {"src_endpoint.name": "vpc_id"}})
    assert row["region"] == "eu-west-1"
    assert row["src_endpoint"]["name"] == "vpc-1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": ["start_time"]}, "start_time"),
        ({"keep": ["nonsense"]}, "nonsense"),
        ({"extra": {"src_endpoint.ip": "vpc_id"}}, "src_endpoint.ip"),
        ({"extra": {"time.zone": "vpc_id"}}, "time.zone"),
        ({"extra": {"x": "nonsense"}}, "nonsense"),
    ],
)
def test_names_that_clash_or_are_missing_are_errors_before_any_row(options, words):
    with pytest.raises(ConfigError, match=words) as error:
        reshape([flow()], **options)
    assert error.value.field in {"keep", "extra"}


def test_columns_that_an_earlier_step_took_away_are_left_out_of_the_record():
    slim = batch(flow()).select(["src_addr", "dst_addr", "start_time", "bytes"])
    enricher = ToOcsfEnricher(ToOcsfEnricherConfig())
    schema = enricher.bind(slim.schema)
    assert schema.field("src_endpoint").type.names == ["ip", "intermediate_ips"]
    [row] = enricher.apply(slim).to_pylist()
    assert row["traffic"] == {"bytes_out": 500, "bytes": None}


def test_parquet_and_json_lines_give_the_same_records_back():
    out = reshape(VARIED)
    stream = io.BytesIO()
    parquet = ParquetFormat(ParquetFormatConfig())
    parquet.bind(out.schema)
    writer = parquet.open(stream)
    writer.write(parquet.encode(out))
    writer.finish()
    assert pq.read_table(io.BytesIO(stream.getvalue())).to_pylist() == out.to_pylist()
    jsonl = JsonlFormat(JsonlFormatConfig())
    jsonl.bind(out.schema)
    lines = bytes(jsonl.encode(out).data).decode().splitlines()
    for line, row in zip(lines, out.to_pylist(), strict=True):
        read = json.loads(line)
        assert read["src_endpoint"].get("port") == row["src_endpoint"]["port"]
        assert read.get("unmapped", {}) == dict(row["unmapped"] or [])
        assert ("firewall_rule" in read) == (row["firewall_rule"] is not None)


def test_the_time_is_the_first_that_is_known_and_rows_without_any_are_left_out():
    logged = T0 + dt.timedelta(minutes=5)
    out = reshape(
        [
            flow(logged_at=logged),
            flow(start_time=None, logged_at=logged),
            flow(start_time=None, end_time=None, logged_at=logged),
            flow(start_time=None, end_time=None, logged_at=None),
        ]
    )
    expected = [T0, T0 + dt.timedelta(seconds=58), logged]
    assert out.column("time").to_pylist() == [int(time.timestamp() * 1000) for time in expected]
