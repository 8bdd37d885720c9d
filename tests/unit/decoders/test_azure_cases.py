"""Azure NSG and VNet flow logs: what each field of a record and of its tuples becomes."""

import json
from datetime import UTC, datetime

import pytest

from ktrans.api import Head
from ktrans.decoders.auto import AutoDecoderConfig
from ktrans.decoders.logs.azure_nsg import LOG as NSG
from ktrans.decoders.logs.azure_vnet import LOG as VNET

NSG_ID = "/SUBSCRIPTIONS/AB00AB00-1111-4222-8333-000000000001/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/N"
LOG_ID = "/SUBSCRIPTIONS/AB00AB00-1111-4222-8333-000000000001/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_WESTUS3/FLOWLOGS/F"
VNET_TUPLE = "1772359201001,198.51.100.7,10.9.0.4,50123,443,6,I,E,NX,5,500,6,600"
NSG_TUPLE = "1772359201,198.51.100.7,10.9.0.4,50123,443,T,I,A,E,5,500,6,600"


def vnet(*tuples, acl="acl-1", rule="rule-1", **fields):
    record = {
        "time": "2026-03-01T10:00:59.0000000Z",
        "flowLogVersion": 4,
        "macAddress": "002248AABB0C",
        "category": "FlowLogFlowEvent",
        "flowLogResourceID": LOG_ID,
        **fields,
        "flowRecords": {
            "flows": [{"aclID": acl, "flowGroups": [{"rule": rule, "flowTuples": list(tuples)}]}]
        },
    }
    return {name: value for name, value in record.items() if value is not None}


def nsg(*tuples, rule="rule-1", mac="002248AABB0C", version=2, **fields):
    record = {
        "time": "2026-03-01T10:00:59.0000000Z",
        "category": "NetworkSecurityGroupFlowEvent",
        "resourceId": NSG_ID,
        **fields,
        "properties": {
            "Version": version,
            "flows": [{"rule": rule, "flows": [{"mac": mac, "flowTuples": list(tuples)}]}],
        },
    }
    return {name: value for name, value in record.items() if value is not None}


@pytest.fixture(params=["compact", "spaced", "careful"])
def decode(request, collect, payload):
    """Decode records: written compactly, with blanks, with a bad tuple behind them; all the same."""

    def go(*records, kind="vnet", uri="mem://o"):
        cls, config = {
            "vnet": (VNET.decoder, VNET.config),
            "nsg": (NSG.decoder, NSG.config),
        }[kind]
        records = list(records)
        if request.param == "careful":
            last = json.loads(json.dumps(records[-1]))
            spoil(last)
            records.append(last)
        decoder = cls(config())
        separators = (",", ":") if request.param == "compact" else None
        data = json.dumps({"records": records}, separators=separators, ensure_ascii=False).encode()
        result = collect(decoder, decoder.blocks(payload(uri, data)))
        if request.param == "careful":
            rejected = result.rejected.pop()
            assert rejected.column("reason")[-1].as_py() == "too_few_fields"
            if rejected.num_rows > 1:
                result.rejected.append(rejected.slice(0, rejected.num_rows - 1))
        return result

    return go


def spoil(node):
    """Leave a single bad tuple in a record."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name.lower() == "flowtuples":
                node[name] = ["spoiled"]
            else:
                spoil(value)
    elif isinstance(node, list):
        for value in node:
            spoil(value)


def test_a_vnet_tuple_becomes_a_row(decode, seen):
    target = "/subscriptions/ab00ab00-1111-4222-8333-000000000001/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/Shop/subnets/Front"
    (row,) = decode(vnet(VNET_TUPLE, targetResourceID=target, flowLogGUID="g")).rows
    assert seen(row) == {
        "provider": "azure",
        "log_type": "azure.vnet",
        "log_version": 4,
        "start_time": datetime(2026, 3, 1, 10, 0, 1, 1000, tzinfo=UTC),
        "logged_at": datetime(2026, 3, 1, 10, 0, 59, tzinfo=UTC),
        "src_addr": "198.51.100.7",
        "dst_addr": "10.9.0.4",
        "src_port": 50123,
        "dst_port": 443,
        "protocol": 6,
        "ip_version": 4,
        "packets": 5,
        "bytes": 500,
        "packets_rev": 6,
        "bytes_rev": 600,
        "direction": "ingress",
        "reporter": "interface",
        "action": "accept",
        "rule": "rule-1",
        "acl_id": "acl-1",
        "flow_state": "end",
        "log_status": "OK",
        "encryption": "NX",
        "account_id": "ab00ab00-1111-4222-8333-000000000001",
        "region": "westus3",
        "vpc_id": "Shop",
        "subnet_id": "Front",
        "interface_id": "002248AABB0C",
        "attrs": [
            ("flowLogGUID", "g"),
            ("flowLogResourceID", LOG_ID),
            ("targetResourceID", target),
        ],
        "source_uri": "mem://o",
        "source_pos": 1,
    }


def test_case_43_seconds_and_milliseconds_are_told_tuple_by_tuple(decode):
    seconds = VNET_TUPLE.replace("1772359201001", "1772359201")
    rows = decode(vnet(VNET_TUPLE, seconds)).rows
    assert [row["start_time"].microsecond for row in rows] == [1000, 0]
    assert {row["start_time"].replace(microsecond=0) for row in rows} == {
        datetime(2026, 3, 1, 10, 0, 1, tzinfo=UTC)
    }
    millis = NSG_TUPLE.replace("1772359201", "1772359201001")
    assert decode(nsg(millis)).rows[0]["start_time"].microsecond == 1000


def test_case_44_the_category_chooses_the_layout_whichever_decoder_reads(decode):
    for kind in ("nsg", "vnet"):
        rows = decode(nsg(NSG_TUPLE), vnet(VNET_TUPLE), kind=kind).rows
        assert [row["log_type"] for row in rows] == ["azure.nsg", "azure.vnet"]
        assert [row["flow_state"] for row in rows] == ["end", "end"]
        assert [row["encryption"] for row in rows] == [None, "NX"]


def test_case_44_without_category_the_version_or_the_protocol_field_tells(decode):
    bare = vnet(VNET_TUPLE, category=None, flowLogVersion=None)
    versioned = vnet(VNET_TUPLE, category=None)
    letter = nsg(NSG_TUPLE, category=None)
    rows = decode(bare, versioned, letter, kind="nsg").rows
    assert [row["log_type"] for row in rows] == ["azure.vnet", "azure.vnet", "azure.nsg"]


@pytest.mark.parametrize("version", ["99999", "9" * 5000])
def test_a_version_that_is_no_small_number_is_kept_as_text(decode, version):
    row = decode(vnet(VNET_TUPLE, flowLogVersion=version)).rows[0]
    assert (row["log_version"], dict(row["attrs"])["version"]) == (None, version)


def test_case_44_tuples_of_eight_fields_have_no_state_and_no_counters(decode, seen):
    short = ",".join(NSG_TUPLE.split(",")[:8])
    result = decode(nsg(short, NSG_TUPLE, ",".join(NSG_TUPLE.split(",")[:7]), NSG_TUPLE + ",1"))
    first, second = result.rows
    assert not {"flow_state", "bytes", "packets", "packets_rev", "bytes_rev"} & seen(first).keys()
    assert (first["action"], second["bytes"]) == ("accept", 500)
    assert result.reasons == {3: "too_few_fields", 4: "too_many_fields"}
    assert decode(nsg(short, version=1)).rows[0]["log_version"] == 1


@pytest.mark.parametrize(
    ("text", "number"), [("T", 6), ("U", 17), ("I", 1), ("132", 132), ("0", 0), ("255", 255)]
)
def test_case_45_protocols_are_letters_or_numbers(decode, text, number):
    assert decode(nsg(NSG_TUPLE.replace(",T,", f",{text},"))).rows[0]["protocol"] == number
    assert decode(vnet(VNET_TUPLE.replace(",6,I", f",{text},I"))).rows[0]["protocol"] == number


@pytest.mark.parametrize("text", ["Q", "", "256", "t", "0x6"])
def test_case_45_other_protocols_are_null_and_kept(decode, text):
    result = decode(nsg(NSG_TUPLE, NSG_TUPLE.replace(",T,", f",{text},"), NSG_TUPLE))
    assert result.positions == [1, 2, 3]
    assert [row["protocol"] for row in result.rows] == [6, None, 6]
    assert dict(result.rows[1]["attrs"] or []).get("protocol", "") == text


@pytest.mark.parametrize(
    ("change", "column", "name"),
    [
        ((",E,", ",A,"), "flow_state", "verdict"),
        ((",I,", ",X,"), "direction", "direction"),
        ((",443,", ",70000,"), "dst_port", "destination_port"),
    ],
)
def test_other_values_of_optional_fields_are_null_and_kept(decode, change, column, name):
    result = decode(vnet(VNET_TUPLE, VNET_TUPLE.replace(*change)))
    assert result.rows[1][column] is None
    assert dict(result.rows[1]["attrs"])[name] == change[1].strip(",")
    assert result.rows[0][column] is not None


@pytest.mark.parametrize("state", ["B", "D"])
@pytest.mark.parametrize("counters", [",,,", "0,0,0,0"])
def test_case_46_what_was_not_measured_is_null(decode, state, counters):
    row = decode(vnet(f"1772359201001,10.0.0.1,10.0.0.2,1,2,6,I,{state},NX,{counters}")).rows[0]
    assert [row[name] for name in ("packets", "bytes", "packets_rev", "bytes_rev")] == [None] * 4


def test_case_46_zeros_of_flows_that_go_on_or_end_are_zeros(decode):
    for state in "CE":
        row = decode(vnet(f"1772359201001,10.0.0.1,10.0.0.2,1,2,6,I,{state},NX,0,0,3,0")).rows[0]
        assert [row[name] for name in ("packets", "bytes", "packets_rev", "bytes_rev")] == [
            0,
            0,
            3,
            0,
        ]
    row = decode(nsg("1772359201,10.0.0.1,10.0.0.2,1,2,T,I,A,C,0,,,7")).rows[0]
    assert [row[name] for name in ("packets", "bytes", "packets_rev", "bytes_rev")] == [
        0,
        None,
        None,
        7,
    ]


def test_case_47_counters_are_deltas_and_kept_as_they_are(decode):
    rows = decode(
        vnet(
            *(
                VNET_TUPLE.replace(",E,NX,5,", f",{s},NX,{n},")
                for s, n in (("C", 8), ("C", 3), ("E", 1))
            )
        )
    ).rows
    assert [row["packets"] for row in rows] == [8, 3, 1]


def test_case_48_denied_flows_and_denials_for_their_encryption(decode):
    denied = VNET_TUPLE.replace(",E,NX,5,500,6,600", ",D,NX_NOT_ACCEPTED,0,0,0,0")
    by_rule, by_encryption = decode(
        vnet(denied), vnet(denied, acl="unspecified", rule="unspecified")
    ).rows
    assert (by_rule["action"], by_rule["flow_state"], by_rule["action_reason"]) == (
        "reject",
        "deny",
        None,
    )
    assert by_encryption["action_reason"] == "NX_NOT_ACCEPTED"
    assert (by_encryption["acl_id"], by_encryption["rule"]) == ("unspecified", "unspecified")
    allowed = vnet(VNET_TUPLE.replace(",NX,", ",NX_FALLBACK,"), acl="unspecified")
    assert decode(allowed).rows[0]["action_reason"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("1772359201001", "yesterday"), "bad_timestamp"),
        (("1772359201001", ""), "bad_timestamp"),
        (("10.9.0.4", "10.9.0"), "bad_address"),
        (("10.9.0.4", ""), "bad_address"),
        ((",500,", ",0X1F,"), "bad_integer"),
        ((",500,", ",0x1f,"), "bad_integer"),
        ((",500,", ",-5,"), "out_of_range"),
        ((",500,", ", 500,"), "bad_integer"),
        (("NX", "N\tX"), "control_character"),
        (("NX", "N\nX"), "bad_timestamp"),
    ],
)
def test_bad_tuples_are_rejects_with_their_bytes_and_their_record(decode, change, reason):
    bad = VNET_TUPLE.replace(*change)
    result = decode(vnet(VNET_TUPLE, bad, VNET_TUPLE))
    assert result.positions == [1, 3]
    assert result.reasons == {2: reason}
    (reject,) = result.rejects
    assert reject["raw"] == (json.dumps(bad) if "\n" in bad else bad).encode()
    assert reject["detail"]
    assert json.loads(reject["layout"])["records"][0]["flowLogResourceID"] == LOG_ID


def test_unknown_decisions_and_states_of_nsgs_are_null_and_kept(decode):
    [row] = decode(nsg(NSG_TUPLE.replace(",A,E,", ",B,E,"))).rows
    assert (row["action"], row["flow_state"]) == (None, "end")
    assert dict(row["attrs"])["verdict"] == "B"
    [row] = decode(nsg(NSG_TUPLE.replace(",A,E,", ",A,X,"))).rows
    assert (row["action"], row["flow_state"]) == ("accept", None)
    assert dict(row["attrs"])["state"] == "X"


def test_what_is_no_text_among_the_tuples_is_a_reject(decode):
    result = decode(vnet(VNET_TUPLE, 5, None, ["1772359201001"], VNET_TUPLE))
    assert result.positions == [1, 5]
    assert set(result.reasons) == {2, 3, 4}


def test_case_51_records_within_records_and_keys_in_any_case(decode):
    odd = json.loads(
        json.dumps(nsg(NSG_TUPLE))
        .replace("resourceId", "resourceid")
        .replace('"mac"', '"MAC"')
        .replace("Version", "version")
        .replace("flowTuples", "FlowTuples")
        .replace('"time"', '"Time"')
    )
    rows = decode(nsg(NSG_TUPLE), {"records": [odd, {"records": [odd]}]}, odd).rows
    assert len(rows) == 4
    first = {name: value for name, value in rows[0].items() if name != "source_pos"}
    assert all({**row, "source_pos": 0} == {**first, "source_pos": 0} for row in rows)
    assert rows[0]["acl_id"] == NSG_ID


@pytest.mark.parametrize(
    "mac",
    ["002248AABB0C", "002248aabb0c", "00-22-48-AA-BB-0C", "00:22:48:aa:bb:0c", "0022.48aa.bb0c"],
)
def test_case_51_macs_of_any_spelling_are_one(decode, mac):
    assert decode(nsg(NSG_TUPLE, mac=mac)).rows[0]["interface_id"] == "002248AABB0C"
    assert decode(vnet(VNET_TUPLE, macAddress=mac)).rows[0]["interface_id"] == "002248AABB0C"
    assert decode(nsg(NSG_TUPLE, mac=None, systemId=mac)).rows[0]["interface_id"] == "002248AABB0C"
    named = decode(
        vnet(VNET_TUPLE, macAddress=None), uri=f"https://a/m=00/macAddress={mac}/PT1H.json"
    )
    assert named.rows[0]["interface_id"] == "002248AABB0C"


def test_case_53_rule_names_are_kept_as_they_are(decode):
    name = 'UserRule_"web" öffnen, ' + "x" * 60
    assert decode(vnet(VNET_TUPLE, rule=name)).rows[0]["rule"] == name


@pytest.mark.parametrize(
    ("path", "region", "account"),
    [
        (
            "flowLogResourceID=/AB00AB00-1111-4222-8333-000000000001_OTHERRG/NETWORKWATCHER_EASTUS_LOG-1/y=2026/m=03/d=01/h=10/m=00/macAddress=002248AABB0C/PT1H.json",
            "eastus",
            "ab00ab00-1111-4222-8333-000000000001",
        ),
        (
            f"flowLogResourceID={LOG_ID}/y=2026/m=03/d=01/h=10/m=00/macAddress=002248AABB0C/PT1H.json",
            "westus3",
            "ab00ab00-1111-4222-8333-000000000001",
        ),
        ("elsewhere/PT1H.json", None, None),
    ],
)
def test_case_54_region_and_account_come_from_the_path_if_no_record_has_them(
    decode, path, region, account
):
    row = decode(vnet(VNET_TUPLE, flowLogResourceID=None), uri=f"https://a/{path}").rows[0]
    assert (row["region"], row["account_id"]) == (region, account)


def test_case_55_counters_follow_the_tuple_not_the_direction(decode):
    inward, outward = decode(vnet(VNET_TUPLE, VNET_TUPLE.replace(",I,", ",O,"))).rows
    assert (inward["direction"], outward["direction"]) == ("ingress", "egress")
    assert (inward["bytes"], inward["bytes_rev"]) == (outward["bytes"], outward["bytes_rev"])


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-03-01T10:00:59.1234569Z", 123456),
        ("2026-03-01T11:00:59.12+01:00", 120000),
        ("2026-03-01T10:00:59.5", 500000),
    ],
)
def test_case_56_record_times_are_cut_to_microseconds(decode, text, micros):
    row = decode(vnet(VNET_TUPLE, time=text)).rows[0]
    assert row["logged_at"] == datetime(2026, 3, 1, 10, 0, 59, micros, tzinfo=UTC)


def test_a_record_time_that_cannot_be_read_is_kept_as_text(decode):
    odd, plain = decode(vnet(VNET_TUPLE, time="soon"), vnet(VNET_TUPLE)).rows
    assert odd["logged_at"] is None
    assert ("time", "soon") in odd["attrs"]
    assert "time" not in dict(plain["attrs"])


def test_unknown_fields_of_a_record_are_kept(decode):
    attrs = dict(decode(vnet(VNET_TUPLE, newOne={"a": [1]}, count=7)).rows[0]["attrs"])
    assert attrs == {"flowLogResourceID": LOG_ID, "newOne": '{"a":[1]}', "count": "7"}


def test_ipv6_is_canonical_and_protocols_without_ports_have_none(decode):
    row = decode(vnet("1772359201001,2001:DB8::0:1,fe80:0:0::9,0,0,58,O,C,X,1,2,3,4")).rows[0]
    assert (row["src_addr"], row["dst_addr"], row["ip_version"]) == ("2001:db8::1", "fe80::9", 6)
    assert (row["src_port"], row["dst_port"], row["direction"]) == (None, None, "egress")


def test_records_that_are_no_flow_logs_are_skipped(decode):
    result = decode({"time": "x", "category": "Administrative"}, vnet(VNET_TUPLE))
    assert (len(result.rows), result.skipped, result.rejects) == (1, 1, [])


def test_records_of_a_shape_that_makes_no_sense_are_rejects(collect, payload):
    records = [
        vnet(VNET_TUPLE),
        {"category": "FlowLogFlowEvent", "flowRecords": None},
        7,
        vnet(VNET_TUPLE),
    ]
    broken = vnet()
    broken["flowRecords"]["flows"][0]["flowGroups"] = "none"
    decoder = VNET.decoder(VNET.config())
    result = collect(
        decoder, decoder.blocks(payload("o", json.dumps({"records": [*records, broken]}).encode()))
    )
    assert result.positions == [1, 4]
    assert result.reasons == {2: "no_flows", 3: "bad_record", 5: "bad_record"}


def test_sniffers_tell_the_two_apart():
    of_nsg = json.dumps({"records": [nsg(NSG_TUPLE)]}).encode()
    of_vnet = json.dumps({"records": [vnet(VNET_TUPLE)]}, indent=2).encode()
    assert NSG.recognise(Head("x", of_nsg)).score == VNET.recognise(Head("x", of_vnet)).score == 100
    assert VNET.recognise(Head("x", of_nsg)) is NSG.recognise(Head("x", of_vnet)) is None
    assert VNET.recognise(Head("x", b"," + of_vnet[len('{ "records": [') :])).score == 100
    assert VNET.recognise(Head("a/insights-logs-flowlogflowevent/x", b'{"records":[')).score > 50
    for other in (b'{"records":[{"category":"AuditEvent"}]}', b"2 1 eni", b"", b"[1]"):
        assert NSG.recognise(Head("x", other)) is VNET.recognise(Head("x", other)) is None


def test_auto_picks_the_decoder(make, collect, payload):
    decoder = make("auto")
    assert AutoDecoderConfig().type == "auto"
    result = collect(
        decoder, decoder.blocks(payload("o", json.dumps({"records": [nsg(NSG_TUPLE)]}).encode()))
    )
    assert result.rows[0]["log_type"] == "azure.nsg"


@pytest.mark.parametrize("bad", ["text", VNET_TUPLE, 5, {"a": 1}], ids=str)
def test_a_group_whose_tuples_are_no_list_is_a_reject_and_the_others_are_kept(
    collect, payload, bad
):
    record = vnet(VNET_TUPLE)
    groups = record["flowRecords"]["flows"][0]["flowGroups"]
    groups += [{"rule": "bad", "flowTuples": bad}, {"rule": "last", "flowTuples": [VNET_TUPLE]}]
    decoder = VNET.decoder(VNET.config())
    data = json.dumps({"records": [record]}).encode()
    result = collect(decoder, decoder.blocks(payload("o", data)))
    assert [(row["rule"], row["source_pos"]) for row in result.rows] == [("rule-1", 1), ("last", 3)]
    [reject] = result.rejects
    assert reject["source_pos"] == 2
    assert b"flowTuples" in reject["raw"]


@pytest.mark.parametrize("name", ["flowTuples", "flows", "flowGroups"])
def test_a_group_whose_tuples_are_null_is_empty(collect, payload, name):
    record = vnet(VNET_TUPLE)
    groups = record["flowRecords"]["flows"][0]["flowGroups"]
    groups.append({"rule": "none", name: None})
    decoder = VNET.decoder(VNET.config())
    data = json.dumps({"records": [record]}).encode()
    result = collect(decoder, decoder.blocks(payload("o", data)))
    assert [row["rule"] for row in result.rows] == ["rule-1"]
    assert not result.rejects
