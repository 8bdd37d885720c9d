"""zones: places from records and tables, classes of paths, prices, and errors that name the place."""

from __future__ import annotations

import ipaddress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import ConfigError, Context
from ktrans.enrichers.zones import ZonesEnricher, ZonesEnricherConfig
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.kit.flow_rules import PATH_CLASSES as CLASSES
from tests.examples import examples

NETWORKS = """prefix,cloud,region,zone,vpc
10.1.0.0/16,aws,eu-1,eu-1-a,vpc-1
10.1.9.0/24,aws,eu-1,eu-1-b,vpc-1
10.2.0.0/16,aws,us-1,us-1-a,vpc-2
10.3.0.0/16,gcp,eu-1,,net-3
10.4.0.0/16,aws,eu-1,,
10.5.0.0/16,,,,vpc-5
52.0.0.0/8,aws,eu-1,,
2001:db8:1::/48,aws,eu-1,eu-1-a,
"""
PRICES = """path_class,from_region,to_region,price_per_gb
internet_out,,,0.09
internet_out,us-1,,0.05
inter_region,,,0.02
inter_region,,us-1,0.03
inter_region,eu-1,us-1,0.04
internet_in,,,0
"""
A, B, US, GCP, SOMEWHERE, FIVE = (
    "10.1.0.1",
    "10.1.9.1",
    "10.2.0.1",
    "10.3.0.1",
    "10.4.0.1",
    "10.5.0.1",
)
INTERNET, PRIVATE = "8.8.8.8", "192.168.0.1"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "networks.csv").write_text(NETWORKS)
    (tmp_path / "prices.csv").write_text(PRICES)
    return tmp_path


def batch_of(rows):
    return pa.RecordBatch.from_pylist(rows, schema=FLOW_SCHEMA)


def run(folder, rows, **options):
    batch = batch_of(rows)
    config = ZonesEnricherConfig(**{"table": "networks.csv", **options})
    enricher = ZonesEnricher(config, Context(base_dir=folder))
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    return out.to_pylist()


def flow(source, destination, **more):
    return {"src_addr": source, "dst_addr": destination, **more}


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        (A, "10.1.7.7", "same_zone"),
        (A, "2001:db8:1::9", "same_zone"),
        (A, B, "inter_zone"),
        (A, SOMEWHERE, "same_region"),
        (A, "52.1.1.1", "same_region"),
        (A, US, "inter_region"),
        (A, GCP, "inter_cloud"),
        (A, FIVE, "internal_unknown"),
        (A, PRIVATE, "internal_unknown"),
        (PRIVATE, PRIVATE, "internal_unknown"),
        (A, INTERNET, "internet_out"),
        (PRIVATE, INTERNET, "internet_out"),
        (PRIVATE, "203.0.113.9", "internet_out"),
        (PRIVATE, "224.0.0.1", "internal_unknown"),
        (INTERNET, A, "internet_in"),
        (INTERNET, "1.1.1.1", "internet"),
        (A, None, None),
        ("host", INTERNET, None),
    ],
)
def test_classes(folder, source, destination, expected):
    (row,) = run(folder, [flow(source, destination)])
    assert row["path_class"] == expected


def test_the_longest_prefix_says_where_both_ends_are(folder):
    (row,) = run(folder, [flow(B, US)])
    places = {name: row[name] for name in row if name.startswith(("src_", "dst_"))}
    expected = {
        "src_cloud": "aws",
        "src_region": "eu-1",
        "src_zone": "eu-1-b",
        "src_vpc": "vpc-1",
        "dst_cloud": "aws",
        "dst_region": "us-1",
        "dst_zone": "us-1-a",
        "dst_vpc": "vpc-2",
    }
    assert {name: places[name] for name in expected} == expected


RECORD = {"provider": "aws", "region": "r", "zone": "z", "vpc_id": "v"}


@pytest.mark.parametrize(
    ("captured", "src", "dst"),
    [
        ({"reporter": "source"}, ("aws", "r", "z", "v"), ("aws", "us-1", "us-1-a", "vpc-2")),
        ({"reporter": "destination"}, ("aws", "eu-1", "eu-1-a", "vpc-1"), ("aws", "r", "z", "v")),
        ({"reporter": "interface", "direction": "egress"}, ("aws", "r", "z", "v"), None),
        ({"direction": "ingress"}, None, ("aws", "r", "z", "v")),
        ({"reporter": "source", "direction": "ingress"}, ("aws", "r", "z", "v"), None),
        ({"reporter": "interface"}, ("aws", "eu-1", "eu-1-a", "vpc-1"), None),
    ],
    ids=str,
)
def test_the_record_is_believed_for_the_end_where_it_was_captured(folder, captured, src, dst):
    (row,) = run(folder, [flow(A, US, **RECORD, **captured)])
    for side, expected in (("src", src), ("dst", dst)):
        if expected:
            found = tuple(row[f"{side}_{what}"] for what in ("cloud", "region", "zone", "vpc"))
            assert found == expected


@pytest.mark.parametrize(
    ("record", "region", "zone", "path"),
    [
        ({"zone": "z"}, None, "z", "internal_unknown"),
        ({"zone": "eu-1-a"}, "eu-1", "eu-1-a", "inter_region"),
        ({"region": "eu-1"}, "eu-1", "eu-1-a", "inter_region"),
        ({"region": "us-1"}, "us-1", None, "same_region"),
        ({"provider": "azure"}, None, None, "inter_cloud"),
        ({"provider": "aws"}, "eu-1", "eu-1-a", "inter_region"),
        ({"region": "us-1", "zone": "us-1-a"}, "us-1", "us-1-a", "same_zone"),
    ],
    ids=str,
)
def test_region_and_zone_of_an_end_come_from_one_origin(folder, record, region, zone, path):
    (row,) = run(folder, [flow(A, US, reporter="source", **record)])
    assert (row["src_region"], row["src_zone"], row["path_class"]) == (region, zone, path)


def test_transit_gateway_flow_logs_name_the_zones_of_both_ends(folder):
    attrs = [("tgw-src-az-id", "euc1-az1"), ("tgw-dst-az-id", "euc1-az2")]
    record = {"provider": "aws", "region": "eu-central-1", "direction": "ingress"}
    rows = [
        flow(PRIVATE, "192.168.0.2", attrs=attrs, **record),
        flow(PRIVATE, "192.168.0.2", attrs=attrs[:1], **record),
        flow(A, PRIVATE, attrs=attrs, **record),
    ]
    whole, half, known = run(folder, rows)
    assert (whole["src_zone"], whole["dst_zone"]) == ("euc1-az1", "euc1-az2")
    assert (whole["src_region"], whole["path_class"]) == ("eu-central-1", "inter_zone")
    assert (half["dst_zone"], half["path_class"]) == (None, "same_region")
    assert (known["src_region"], known["src_zone"]) == ("eu-central-1", "euc1-az1")


def test_networks_that_the_log_names_stay(folder):
    (row,) = run(folder, [flow(A, US, src_vpc="named")])
    assert (row["src_vpc"], row["dst_vpc"]) == ("named", "vpc-2")


def test_google_cloud_says_where_the_other_end_is(folder):
    attrs = [
        ("jsonPayload.dest_instance", '{"region":"us-east1","vm_name":"b","zone":"us-east1-b"}'),
        ("jsonPayload.dest_vpc", '{"vpc_name":"net","project_id":7}'),
        ("jsonPayload.dest_gateway", "neither this"),
        ("jsonPayload.src_instance", "[]"),
    ]
    row = flow(
        PRIVATE, "192.168.0.2", provider="gcp", reporter="source", region="us-east1",
        zone="us-east1-c", attrs=attrs,
    )  # fmt: skip
    (found,) = run(folder, [row], table=None)
    assert found["path_class"] == "inter_zone"
    assert (found["dst_zone"], found["dst_vpc"]) == ("us-east1-b", "net")
    (blind,) = run(folder, [row], table=None, attrs=False)
    assert blind["path_class"] == "internal_unknown"


def test_only_the_columns_that_are_wanted_come(folder):
    (row,) = run(folder, [flow(A, B)], columns=["path_class"])
    assert set(row) == {*FLOW_SCHEMA.names, "path_class"}
    assert row["src_vpc"] is None


GB = 1_000_000_000


@pytest.mark.parametrize(
    ("row", "cost"),
    [
        (flow(A, INTERNET, bytes=2 * GB), 0.18),
        (flow(US, INTERNET, bytes=2 * GB), 0.1),
        (flow(A, US, bytes=GB), 0.04),
        (flow(US, A, bytes=GB), 0.02),
        (flow(INTERNET, US, bytes=GB), 0),
        (flow(INTERNET, US, bytes=GB, bytes_rev=GB), 0.05),
        (flow(A, US, bytes=GB, bytes_rev=GB), 0.06),
        (flow(A, INTERNET, bytes=None), None),
        (flow(A, INTERNET, bytes=None, bytes_rev=GB), 0),
        (flow(A, B, bytes=GB), None),
        (flow(None, B, bytes=GB), None),
        (flow(A, INTERNET, bytes=0), 0),
    ],
    ids=str,
)
def test_the_price_of_the_most_exact_row(folder, row, cost):
    (found,) = run(folder, [row], prices="prices.csv")
    assert found["cost_estimate"] == (cost if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("prices", "path_class,price_per_gb\nsame_zone,x\n", "prices.csv:2: 'x' is not a price"),
        ("prices", "path_class,price_per_gb\nsame_zone,-1\n", "prices.csv:2"),
        ("prices", "path_class,price_per_gb\nsame_zone,nan\n", "prices.csv:2"),
        ("prices", "path_class,price_per_gb\nlocal,1\n", "prices.csv:2: .*'local'"),
        ("prices", "path_class,price_per_gb\ninternet,1\ninternet,1\n", "prices.csv:3"),
        ("prices", "path_class,price_per_gb\ninternet\n", "prices.csv:2"),
        ("prices", "path_class,price_per_gb,currency\ninternet,1,EUR\n", "currency"),
        ("prices", "path_class\ninternet\n", "price_per_gb"),
        ("prices", "path_class,price_per_gb\n", "no rows"),
        ("networks", "prefix,name\n10.0.0.0/8,x\n", "none of the columns"),
        ("networks", "prefix,zone\n10.0.0.1/8,x\n", "networks.csv:2"),
    ],
)
def test_a_bad_table_is_named_with_its_line(folder, name, text, match):
    (folder / f"{name}.csv").write_text(text)
    with pytest.raises(ConfigError, match=match) as error:
        run(folder, [], prices="prices.csv")
    assert error.value.field == {"prices": "prices", "networks": "table"}[name]


def test_a_price_without_prices_and_a_table_that_is_not_there(folder):
    with pytest.raises(ConfigError, match="prices"):
        run(folder, [], columns=["cost_estimate"])
    with pytest.raises(ConfigError, match=r"none\.csv"):
        run(folder, [], prices="none.csv")


TABLE = [line.split(",") for line in NETWORKS.splitlines()[1:]]


def complete(own, cells):
    """Say what an end's place is, by the record and by the table."""
    if any(a and b and a != b for a, b in zip(own[:3], cells[:3], strict=True)):
        return own
    place = [a or b for a, b in zip(own, cells, strict=True)]
    half = (own[1] is None) != (own[2] is None)
    if (own[1] or own[2]) and not (half and cells[1] and cells[2]):
        place[1:3] = own[1:3]
    return place


def model(row):
    """Say the class of one row in plain Python."""
    sides = []
    for side, other in (("src", "source"), ("dst", "destination")):
        address = row[f"{side}_addr"]
        if address is None:
            return None
        address = ipaddress.ip_address(address)
        place = [None] * 4
        if row["reporter"] == other:
            place = [row["provider"], row["region"], row["zone"], row["vpc_id"]]
        fitting = [
            (ipaddress.ip_network(prefix), cells)
            for prefix, *cells in TABLE
            if address in ipaddress.ip_network(prefix)
        ]
        if fitting:
            _, cells = max(fitting, key=lambda item: item[0].prefixlen)
            place = complete(place, [cell or None for cell in cells])
        sides.append((place, not any(place) and address.is_global))
    (src, src_out), (dst, dst_out) = sides
    if src_out or dst_out:
        return {(1, 1): "internet", (1, 0): "internet_in", (0, 1): "internet_out"}[src_out, dst_out]
    known = [a is not None and b is not None for a, b in zip(src, dst, strict=True)]
    other = [k and a != b for k, a, b in zip(known, src, dst, strict=True)]
    rules = [
        (other[0], "inter_cloud"),
        (other[1], "inter_region"),
        (known[2] and not other[2], "same_zone"),
        (other[2] and known[1], "inter_zone"),
        (known[1], "same_region"),
        (True, "internal_unknown"),
    ]
    return next(name for holds, name in rules if holds)


ADDRESSES = st.sampled_from([A, B, US, GCP, SOMEWHERE, FIVE, INTERNET, PRIVATE, "52.0.0.1", None])
ROWS = st.builds(
    flow,
    ADDRESSES,
    ADDRESSES,
    reporter=st.sampled_from(["source", "destination", "interface", None]),
    provider=st.sampled_from(["aws", "gcp", None]),
    region=st.sampled_from(["eu-1", "eu-9", None]),
    zone=st.sampled_from(["eu-1-a", "eu-9-a", None]),
    vpc_id=st.sampled_from(["vpc-9", None]),
)


@given(st.lists(ROWS, max_size=40), st.integers(0, 40))
@settings(max_examples=examples(50), deadline=None)
def test_it_agrees_with_a_plain_model_however_the_batch_is_cut(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.getbasetemp()
    (folder / "networks.csv").write_text(NETWORKS)
    found = [row["path_class"] for row in run(folder, rows)]
    assert found == [model(row) for row in rows]
    assert set(found) <= {*CLASSES, None}
    parts = run(folder, rows[:cut]) + run(folder, rows[cut:])
    assert parts == run(folder, rows)
