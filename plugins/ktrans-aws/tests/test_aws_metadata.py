"""The aws_metadata enricher: from EC2 and from a snapshot, by interface and by address."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from ktrans_aws.ec2_inventory import READER
from pydantic import ValidationError

from ktrans.api import ConfigError
from ktrans.flow.schema import TEXT
from ktrans.registry.catalogue import Catalogue

TAKEN = datetime(2026, 11, 5, 12, tzinfo=UTC)
INTERFACES = [
    {
        "id": "eni-1",
        "addresses": ["10.0.0.1", "203.0.113.7", "2001:db8::1"],
        "instance_id": "i-1",
        "name": "web",
        "vpc_id": "vpc-a",
        "subnet_id": "subnet-1",
        "security_groups": ["default", "web"],
        "tags": {"team": "shop"},
    },
    {"id": "eni-2", "addresses": ["10.0.0.2"], "vpc_id": "vpc-a", "name": "db"},
    {"id": "eni-3", "addresses": ["10.0.0.2"], "vpc_id": "vpc-b", "name": "other db"},
]


def snapshot(folder, interfaces=INTERFACES, **more):
    path = folder / "interfaces.json"
    path.write_text(
        json.dumps({"version": 1, "taken": TAKEN.isoformat(), "interfaces": interfaces, **more})
    )
    return path


def flows(kind=TEXT, **columns):
    size = len(next(iter(columns.values())))
    names = ("src_addr", "dst_addr", "interface_id", "vpc_id")
    return pa.record_batch({n: pa.array(columns.get(n, [None] * size), kind) for n in names})


def enrich(batch, folder, **options):
    catalogue = Catalogue()
    raw = {"type": "aws_metadata", "snapshot": str(folder / "interfaces.json"), **options}
    with catalogue.build("enricher", catalogue.config("enricher", raw), None) as made:
        schema = made.bind(batch.schema)
        result = made.apply(batch)
        assert set(schema.names) == {*batch.schema.names, *made.adds()}
    assert result.schema.equals(schema)
    result.validate(full=True)
    return result.to_pydict()


@pytest.mark.parametrize("kind", [TEXT, pa.string(), pa.large_string()])
def test_interfaces_and_addresses_are_looked_up_and_the_unknown_is_null(tmp_path, kind):
    snapshot(tmp_path)
    found = enrich(
        flows(
            kind,
            interface_id=["eni-1", "eni-9", None],
            src_addr=["203.0.113.7", "192.0.2.1", None],
            dst_addr=["2001:db8::1", "10.0.0.1", "10.0.0.1"],
        ),
        tmp_path,
        tags=["team", "none"],
        time_column="as_of",
    )
    assert found["interface_name"] == ["web", None, None]
    assert found["interface_security_groups"] == ["default,web", None, None]
    assert found["src_instance_id"] == ["i-1", None, None]
    assert found["dst_subnet_id"] == ["subnet-1"] * 3
    assert found["dst_tag_team"] == ["shop"] * 3
    assert found["src_tag_none"] == [None] * 3
    assert found["as_of"] == [TAKEN] * 3


def test_an_address_of_several_vpcs_is_that_of_the_records_own_or_of_none(tmp_path):
    snapshot(tmp_path)
    vpcs = ["vpc-a", "vpc-b", "vpc-c", None]
    found = enrich(flows(dst_addr=["10.0.0.2"] * 4, vpc_id=vpcs), tmp_path, columns=["name"])
    assert found["dst_name"] == ["db", "other db", None, None]


def test_values_that_no_row_uses_change_nothing(tmp_path):
    snapshot(tmp_path)
    column = pa.DictionaryArray.from_arrays(
        pa.array([2, None, 1], pa.int32()), pa.array(["10.0.0.2", None, "10.0.0.1"])
    )
    batch = flows(src_addr=[None] * 3).set_column(0, "src_addr", column)
    found = enrich(batch, tmp_path, columns=["name"], addresses=["src_addr"], interface=None)
    assert found["src_name"] == ["web", None, None]


def test_no_rows(tmp_path):
    snapshot(tmp_path)
    assert enrich(flows(src_addr=[]), tmp_path)["src_name"] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "not a snapshot"), ("{}", "taken"), ('{"taken": 1}', "not a snapshot"),
     ('{"taken": "2026-01-01T00:00:00", "interfaces": []}', "time zone"),
     ('{"taken": "2026-01-01T00:00:00Z", "interfaces": [], "version": 2}', "version 2")],
)  # fmt: skip
def test_a_file_that_is_no_snapshot_is_told(tmp_path, text, says):
    (tmp_path / "interfaces.json").write_text(text)
    with pytest.raises(ConfigError, match=says):
        enrich(flows(src_addr=["x"]), tmp_path)


def test_a_snapshot_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError) as missing:
        enrich(flows(src_addr=["x"]), tmp_path)
    assert "ktrans_aws.snapshot" in missing.value.hint


def test_columns_that_exist_or_are_missing_are_errors(tmp_path):
    snapshot(tmp_path)
    with pytest.raises(ConfigError, match="already a column"):
        enrich(flows(src_addr=["x"]), tmp_path, time_column="vpc_id")
    with pytest.raises(ConfigError, match="no column"):
        enrich(flows(src_addr=["x"]), tmp_path, addresses=["nope"])
    for options in ({"naming": "x"}, {"columns": []}, {"addresses": [], "interface": None}):
        with pytest.raises((ConfigError, ValidationError)):
            enrich(flows(src_addr=["x"]), tmp_path, **options)


@pytest.mark.service("s3")
def test_the_api_is_asked_and_a_snapshot_says_the_same(s3_server, tmp_path):
    ec2 = s3_server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": "apps"}]}]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", TagSpecifications=tags)
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=3,
        MaxCount=3,
        SubnetId=subnet["Subnet"]["SubnetId"],
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": "Name", "Value": "worker"}, {"Key": "team", "Value": "data"}],
            }
        ],
    )["Instances"]
    addresses = [one["PrivateIpAddress"] for one in made]
    access = {
        "endpoint_url": s3_server.url,
        "region": s3_server.region,
        "access_key_id": "testing",
        "secret_access_key": "testing",
    }
    options = {"tags": ["team"], "columns": ["name", "instance_id", "subnet_name", "vpc_id"]}
    batch = flows(src_addr=[*addresses, "192.0.2.1"])
    asked = enrich(batch, tmp_path, snapshot=None, **access, **options)
    assert asked["src_name"] == ["worker"] * 3 + [None]
    assert asked["src_instance_id"][:3] == [one["InstanceId"] for one in made]
    assert asked["src_subnet_name"][0] == "apps"
    assert asked["src_vpc_id"][0] == vpc
    assert asked["src_tag_team"][0] == "data"
    command = [sys.executable, "-m", "ktrans_aws.snapshot", str(tmp_path / "interfaces.json")]
    command += ["--region", s3_server.region, "--endpoint-url", s3_server.url]
    environ = {"PATH": "", **s3_server.environ}
    subprocess.run(command, check=True, env=environ, timeout=120)
    assert enrich(batch, tmp_path, **options) == asked
    assert READER.read(tmp_path / "interfaces.json").taken.tzinfo is not None
    ec2.close()
