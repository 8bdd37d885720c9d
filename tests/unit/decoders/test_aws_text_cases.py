"""The tricky cases of AWS text logs, by number."""

import gzip
import logging
from datetime import UTC, datetime

import pytest

from ktrans.api import RejectError
from ktrans.kit.accelerate import accelerated
from tests.accelerators import OfAnotherVersion

TGW_RECORD = (
    "6 TransitGateway 111122223333 tgw-0a tgw-attach-0a 111122223333 444455556666 vpc-0a vpc-0b "
    "subnet-0a subnet-0b eni-0a eni-0b use1-az1 use1-az2 tgw-attach-0b 10.0.0.1 10.1.0.1 40000 443 "
    "6 10 900 1700000000 1700000060 OK IPv4 1 2 3 4 2 us-east-1 ingress - -"
)
NODATA = "2 111122223333 eni-0a1 - - - - - - - 1700000000 1700000060 - NODATA"


def utc(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def with_ends(lines):
    """Return all records two addresses."""
    return [f"{lines[0]} srcaddr dstaddr", *(f"{line} 10.0.0.1 10.0.0.2" for line in lines[1:])]


def test_case_01_dash_is_null_in_every_field(run, v2):
    row = run([v2, " ".join([*"-" * 13, "NODATA"])]).rows[0]
    kept = {"provider", "log_type", "reporter", "source_uri", "source_pos", "log_status"}
    assert {name for name, value in row.items() if value is not None} == kept


def test_case_02_nodata_and_skipdata_rows_keep_status_and_times(run, v2, seen):
    rows = run([v2, NODATA, NODATA.replace("NODATA", "SKIPDATA")]).rows
    assert [row["log_status"] for row in rows] == ["NODATA", "SKIPDATA"]
    assert rows[0]["start_time"] == utc(1700000000)
    assert not {"src_addr", "src_port", "protocol", "bytes", "action"} & set(seen(rows[0]))


def test_case_03_nodata_row_that_carries_data_keeps_both(run, v2, record):
    row = run([v2, record(log_status="NODATA")]).rows[0]
    assert (row["log_status"], row["bytes"], row["src_addr"]) == ("NODATA", 900, "10.0.0.1")


def test_case_04_fields_are_found_by_name_in_any_order(run):
    row = run(["bytes srcaddr log-status packets dstaddr", "7 10.0.0.1 OK 2 ::1"]).rows[0]
    assert (row["bytes"], row["packets"], row["src_addr"]) == (7, 2, "10.0.0.1")
    assert row["start_time"] is None
    assert row["log_version"] is None


def test_case_04_missing_start_falls_back_to_the_file_name(run):
    uri = "s3://b/111122223333_vpcflowlogs_eu-west-1_fl-0a_20231114T2215Z_ab12.log.gz"
    rows = run(with_ends(["start", "-", "1700000000"]), uri=uri).rows
    window = datetime(2023, 11, 14, 22, 15, tzinfo=UTC)
    assert [row["start_time"] for row in rows] == [window, utc(1700000000)]
    assert [row["logged_at"] for row in rows] == [window, window]
    assert [row["region"] for row in rows] == ["eu-west-1", "eu-west-1"]


@pytest.mark.parametrize(
    "header",
    ["srcaddr dstaddr bytes", "dstaddr srcaddr vpc_id", "src_addr dst-addr version"],
)
def test_case_05_a_header_is_known_wherever_version_stands(run, header):
    result = run([header, "10.0.0.1 10.0.0.2 5"])
    assert (result.skipped, len(result.rows)) == (1, 1)


def test_case_05_headers_in_mid_stream_switch_the_layout(run, v2, good):
    lines = [v2, good, "bytes srcaddr dstaddr", "5 10.9.9.9 ::1", v2, good, v2, good]
    result = run(lines)
    assert result.positions == [2, 4, 6, 8]
    assert [row["bytes"] for row in result.rows] == [900, 5, 900, 900]
    assert result.skipped == 4


def test_case_05_headers_are_found_among_lines_that_begin_like_field_names(run):
    lines = [
        "vpc-id bytes srcaddr dstaddr",
        "vpc-0a 1 ::1 ::2",
        "vpc_id packets srcaddr dstaddr",
        "vpc-0b 2 ::1 ::2",
        "subnet-id bytes srcaddr dstaddr",
        "subnet-1 3 ::1 ::2",
    ]
    rows = run(lines).rows
    assert [(r["vpc_id"], r["subnet_id"], r["bytes"], r["packets"]) for r in rows] == [
        ("vpc-0a", None, 1, None),
        ("vpc-0b", None, None, 2),
        (None, "subnet-1", 3, None),
    ]


@pytest.mark.parametrize("header", ["srcaddr", "version account-id bytes", "start end"])
def test_a_header_without_addresses_refuses_what_follows_and_names_what_it_has(
    run, v2, good, header
):
    line = " ".join("1" for _ in header.split())
    with pytest.raises(RejectError, match=r"dstaddr|srcaddr") as refused:
        run([header, line, line])
    assert ", ".join(header.split()) in str(refused.value)
    later = run([v2, good, f"{header} region", line + " 2"])
    assert later.reasons == {3: "bad_header", 4: "no_layout"}


def test_case_06_headerless_default_format_is_known(run, good):
    assert run([good, NODATA]).positions == [1, 2]


def test_case_06_headerless_transit_gateway_format_is_known(run):
    dashed = TGW_RECORD.replace("TransitGateway", "-")
    result = run([TGW_RECORD, dashed], decoder="aws_tgw")
    assert [row["src_vpc"] for row in result.rows] == ["vpc-0a", "vpc-0a"]


def test_case_06_no_layout_is_picked_by_token_count_alone(run, good):
    other = good.replace("2 1111", "eni-0a 1111", 1)
    result = run([good, other, "a b c"])
    assert result.positions == [1]
    assert result.reasons == {2: "no_layout", 3: "no_layout"}
    assert all(row["layout"] is None for row in result.rejects)


def test_case_06_json_line_with_message_is_unwrapped(run, good):
    wrapped = f'{{"message":"{NODATA}"}}'
    result = run([good, wrapped, good])
    assert [row["log_status"] for row in result.rows] == ["OK", "NODATA", "OK"]
    assert run([wrapped, good]).positions == [1, 2]


def test_case_06_a_configured_format_needs_no_header(run):
    for text in (
        "${bytes} ${srcaddr} ${dst_addr}",
        "bytes src-addr dstaddr",
        "bytes, srcaddr,dstaddr",
    ):
        row = run(["5 10.0.0.1 ::1"], format=text).rows[0]
        assert (row["bytes"], row["src_addr"]) == (5, "10.0.0.1")


def test_case_06_a_header_line_wins_over_the_configured_format(run):
    assert (
        run(with_ends(["bytes packets", "5 6"]), format="packets bytes srcaddr dstaddr").rows[0][
            "bytes"
        ]
        == 5
    )


@pytest.mark.parametrize("text", ["", "srcaddr srcaddr", "foo bar", "${src addr", "a;b"])
def test_case_06_a_format_that_makes_no_sense_is_refused(make, text):
    with pytest.raises(ValueError, match="field"):
        make(format=text)


@pytest.mark.parametrize("data", ["", "{v2}", "{v2}\n"])
def test_case_07_empty_and_header_only_files_have_no_rows(run, v2, data):
    result = run(data.format(v2=v2))
    assert result.rows == []
    assert result.rejects == []
    assert result.records == result.skipped == bool(data)


def test_case_07_one_row_without_final_newline(run, v2, good):
    assert run(f"{v2}\n{good}").positions == [2]


def test_case_08_export_prefix_is_the_time_of_the_event(run, good):
    result = run([f"2018-09-22T20:28:14.123Z {good}"] * 2)
    assert result.rows[0]["logged_at"] == datetime(2018, 9, 22, 20, 28, 14, 123000, tzinfo=UTC)
    assert result.rows[0]["bytes"] == 900


def test_case_08_prefixed_and_plain_lines_may_be_mixed(run, good):
    prefixed = f"2018-09-22T20:28:14Z {good}"
    wrong = [f"- {good}", f"2018-99-22T20:28:14Z {good}", f"2018-09-22 {good}", f"{prefixed} x"]
    for lines in ([good, prefixed], [prefixed, good]):
        result = run(
            [*lines, *wrong],
            format="version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
        )
        assert result.positions == [1, 2]
        assert result.reasons == dict.fromkeys(range(3, 7), "too_many_fields")
        assert sum(row["logged_at"] is not None for row in result.rows) == 1


def test_case_08_a_missing_start_falls_back_to_the_export_prefix(run):
    row = run(["2018-09-22T20:28:14Z 10.0.0.1 ::1"], format="srcaddr dstaddr").rows[0]
    assert row["start_time"] == datetime(2018, 9, 22, 20, 28, 14, tzinfo=UTC)


def test_case_09_double_spaces_tabs_crlf_comments_and_bom_are_tidied(run, v2, good):
    data = (
        b"\xef\xbb\xbf" + v2.encode() + b"\r\n"
        + good.encode() + b"\r\n"
        + good.replace(" ", "  ", 3).encode() + b"\r\n"
        + b"  " + good.replace(" ", "\t").encode() + b" \r\n"
        + good.encode() + b" # a remark\r\n"
        + b"# only a remark\r\n"
        + b"\r\n"
        + good.encode() + b"\r"
    )  # fmt: skip
    result = run(data)
    assert result.rejects == []
    assert result.positions == [2, 3, 4, 5, 8]
    assert result.skipped == 3
    assert len({row["bytes"] for row in result.rows}) == 1


def test_case_10_unknown_columns_go_to_attrs_and_are_logged_once(run, v2, good, caplog):
    header = f"{v2} shiny-new-field"
    with caplog.at_level(logging.WARNING):
        result = run([header, f"{good} hello", header, f"{good} -"])
    assert [row["attrs"] for row in result.rows] == [[("shiny-new-field", "hello")], None]
    assert [r.getMessage() for r in caplog.records if "shiny-new-field" in r.getMessage()] == [
        "aws_vpc: the field shiny-new-field is not known; it is kept in attrs"
    ]


def test_case_11_too_few_and_too_many_fields_are_rejects(run, v2, good):
    few = good.rpartition(" ")[0]
    result = run([v2, few, good, f"{good} extra", good])
    assert result.positions == [3, 5]
    assert [(r["source_pos"], r["reason"], r["raw"]) for r in result.rejects] == [
        (2, "too_few_fields", few.encode()),
        (4, "too_many_fields", f"{good} extra".encode()),
    ]
    assert result.rejects[0]["detail"] == "13 fields where the layout has 14"
    assert result.rejects[0]["layout"] == v2
    assert result.rejects[0]["source_uri"] == "mem://o"


def test_case_12_account_id_is_text_with_its_zeros(run, v2, record):
    ids = ["012345678901", "unknown", "12345678910"]
    rows = run([v2, *(record(account_id=text) for text in ids)]).rows
    assert [row["account_id"] for row in rows] == ids


def test_case_13_counters_go_beyond_32_bits(run, v2, record):
    big = 2**63 - 1
    rows = run([v2, record(bytes=4_000_000_000, packets=big), record(bytes=big)]).rows
    assert (rows[0]["bytes"], rows[0]["packets"], rows[1]["bytes"]) == (4_000_000_000, big, big)


def test_case_14_times_in_milliseconds_and_finer_are_told_by_size(run, v2, record):
    moments = [1700000000, 1700000000000, 1700000000000000, 1700000000000000000, 99_999_999_999]
    done = run([v2, *(record(start=moment) for moment in moments)])
    assert [row["start_time"] for row in done.rows] == [utc(1700000000)] * 4
    assert done.reasons == {6: "time_out_of_range"}
    assert "5138-11-16" in done.rejects[0]["detail"]


def test_case_15_end_before_start_is_kept(run, v2, record):
    row = run([v2, record(start=1700000060, end=1700000000)]).rows[0]
    assert row["start_time"] > row["end_time"]


def test_case_16_ipv6_is_canonical_and_gives_the_version(run, v2, record):
    given = ["2001:DB8:0:0:0:0:0:1", "FE80::A", "::ffff:10.0.0.1", "::ffff:a00:1", "10.0.0.1"]
    rows = run([v2, *(record(srcaddr=text, dstaddr="10.0.0.2") for text in given)]).rows
    assert [row["src_addr"] for row in rows] == [
        "2001:db8::1",
        "fe80::a",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.1",
        "10.0.0.1",
    ]
    assert [row["ip_version"] for row in rows] == [6, 6, 6, 6, 4]


def test_case_16_type_tells_the_version_only_without_addresses_and_efa_stays(run):
    lines = ["srcaddr dstaddr type log-status", "- - IPv6 NODATA", "10.0.0.1 ::1 EFA OK"]
    lines += ["- 2001:db8::1 IPv4 NODATA", "- - EFA NODATA"]
    rows = run(lines).rows
    assert [row["ip_version"] for row in rows] == [6, 4, 6, None]
    assert [row["attrs"] for row in rows] == [None, [("type", "EFA")], None, [("type", "EFA")]]


def test_case_17_ports_are_null_for_protocols_without_ports(run, v2, record):
    protocols = [1, 58, 47, 6, 17, 33, 132, 136, 0, "-"]
    lines = [record(protocol=number, srcport=0, dstport=0) for number in protocols]
    rows = run([v2, *lines]).rows
    assert [row["src_port"] for row in rows] == [None] * 3 + [0] * 5 + [None, 0]
    assert run([v2, *lines], columns=["dst_port"]).rows[0] == {"dst_port": None}


def test_case_18_packet_addresses_are_kept_beside_the_logged_ones(run):
    row = run(
        ["srcaddr pkt-srcaddr pkt-dstaddr dstaddr", "10.0.0.1 192.168.0.1 2001:DB8::2 ::1"]
    ).rows[0]
    assert row["src_addr"] == "10.0.0.1"
    assert (row["src_pkt_addr"], row["dst_pkt_addr"]) == ("192.168.0.1", "2001:db8::2")


def test_case_19_tcp_flags_zero_is_not_null(run):
    rows = run(with_ends(["tcp-flags bytes", "0 1", "19 1", "- 1"])).rows
    assert [row["tcp_flags"] for row in rows] == [0, 19, None]


def test_case_20_traffic_path_stays_a_native_text(run):
    rows = run(with_ends(["flow-direction traffic-path", "ingress -", "egress 8"])).rows
    assert [row["attrs"] for row in rows] == [None, [("traffic-path", "8")]]
    assert [row["reporter"] for row in rows] == ["destination", "source"]


def test_case_21_action_is_the_verdict_in_lower_case(run, v2, record):
    rows = run([v2, record(action="REJECT"), record(action="ACCEPT")]).rows
    assert [row["action"] for row in rows] == ["reject", "accept"]
    assert [row["action_reason"] for row in rows] == [None, None]


def test_case_22_transit_gateway_rows_sum_what_was_lost(run):
    row = run([TGW_RECORD], decoder="aws_tgw").rows[0]
    assert row["action"] is None
    assert row["packets_dropped"] == 10
    attrs = dict(row["attrs"])
    lost = [
        attrs[f"packets-lost-{why}"]
        for why in ("no-route", "blackhole", "mtu-exceeded", "ttl-expired")
    ]
    assert lost == ["1", "2", "3", "4"]
    assert (row["log_type"], row["interface_id"], row["dst_vpc"]) == (
        "aws.tgw",
        "tgw-attach-0a",
        "vpc-0b",
    )
    gap = run(
        with_ends(["tgw-id packets-lost-no-route packets-lost-blackhole", "t - 3", "t - -"]),
        decoder="aws_tgw",
    )
    assert [row["packets_dropped"] for row in gap.rows] == [3, None]


def test_case_23_only_tag_values_are_percent_decoded(run):
    lines = ["instance-tag asg-tag ecs-service-name", "web%20server %FF a%20b", "caf%C3%A9 - -"]
    rows = run(with_ends(lines)).rows
    assert dict(rows[0]["attrs"]) == {
        "instance-tag": "web server",
        "asg-tag": "%FF",
        "ecs-service-name": "a%20b",
    }
    assert dict(rows[1]["attrs"]) == {"instance-tag": "café"}


def test_case_24_resource_id_stands_in_for_the_interface(run):
    rows = run(
        with_ends(["interface-id resource-id", "- nat-0a", "eni-0a -", "eni-0b nat-0b"])
    ).rows
    assert [row["interface_id"] for row in rows] == ["nat-0a", "eni-0a", "eni-0b"]
    assert [row["attrs"] for row in rows] == [
        [("resource-id", "nat-0a")],
        None,
        [("resource-id", "nat-0b")],
    ]


def test_case_25_the_version_never_chooses_the_layout(run, v2, record):
    result = run([f"{v2} ecs-task-id", f"{record(version=5)} task-1"])
    assert result.rows[0]["log_version"] == 5
    assert dict(result.rows[0]["attrs"]) == {"ecs-task-id": "task-1"}
    assert run([v2, record(version=3)]).rows[0]["log_version"] == 3


def test_case_26_gzip_of_several_members_whatever_its_name(run, v2, good):
    parts = [f"{v2}\n{good}\n", f"{good}\n", f"{v2}\n{good}\n"]
    data = b"".join(gzip.compress(part.encode()) for part in parts)
    assert run(data, uri="mem://plain.txt").positions == [2, 3, 5]
    assert run("".join(parts), uri="mem://lies.log.gz").positions == [2, 3, 5]


def test_case_28_the_same_object_decodes_to_identical_batches(run, v2, record):
    data = [v2, *(record(bytes=number) for number in range(200)), "torn line", record()]
    first, again = (run(data, uri="s3://b/one.log.gz") for _ in range(2))
    assert first.table.equals(again.table)
    assert first.rejects == again.rejects
    other = run(data, uri="s3://b/two.log.gz")
    assert {row["source_uri"] for row in other.rows} == {"s3://b/two.log.gz"}
    assert other.positions == first.positions


def test_an_accelerator_for_another_version_leaves_all_to_python(run, v2, good):
    plain = run([v2, good])
    with accelerated(OfAnotherVersion("acme for another ktrans")):
        assert run([v2, good]).rows == plain.rows
