"""What the report counts, on rows made by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_spec = importlib.util.spec_from_file_location("made", Path(__file__).with_name("conftest.py"))
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)
flow = made.flow


def by_name(rows, key="name"):
    return {row[key]: row for row in rows}


def test_the_summary_adds_up(numbers):
    told = numbers(
        [
            flow(0),
            flow(70, bytes=5000, packets=20),
            flow(80, action="reject", bytes=40, packets=1, account_id="444455556666"),
        ]
    )["summary"]
    assert (told["rows"], told["flows"]) == (3, 3)
    assert (told["bytes"], told["packets"]) == (6040, 31)
    assert (told["accounts"], told["interfaces"]) == (2, 1)
    assert (told["rejected"], told["judged"]) == (1, 3)
    assert told["busiest_hour"] == "2026-05-04T09:00:00+00:00"
    assert told["start"] == "2026-05-04T08:00:00+00:00"


def test_not_reported_is_not_zero(numbers):
    told = numbers([flow(), flow(bytes=None, packets=None)])
    assert told["summary"]["bytes"] == 1000
    assert any(note.startswith("Without bytes: 1 row.") for note in told["notes"])
    nothing = numbers([flow(bytes=None, packets=None)])
    assert nothing["summary"]["bytes"] is None
    assert nothing["summary"]["measured_in"] == "flows"


def test_nodata_and_skipdata_rows_are_no_flows(numbers):
    quiet = {"src_addr": None, "dst_addr": None, "bytes": None, "packets": None, "action": None}
    told = numbers(
        [flow(), flow(log_status="NODATA", **quiet), flow(log_status="SKIPDATA", **quiet)]
    )
    summary = told["summary"]
    assert (summary["rows"], summary["flows"]) == (3, 1)
    assert (summary["nodata"], summary["skipdata"]) == (1, 1)
    assert not any(note.startswith("Without bytes") for note in told["notes"])


def test_a_flow_that_both_ends_logged_counts_once(numbers):
    both = [
        flow(0, interface_id="eni-1", reporter="source", direction="egress"),
        flow(1, interface_id="eni-2", reporter="destination", direction="ingress", bytes=999),
        flow(2, interface_id="eni-1", reporter="source", direction="egress"),
        flow(65, interface_id="eni-2", reporter="destination", direction="ingress", bytes=500),
    ]
    told = numbers(both)
    # In the first hour the source's reports count; in the second only the destination logged.
    assert told["summary"]["bytes"] == 2500
    assert told["summary"]["bytes_as_logged"] == 3499
    assert told["summary"]["second_reports"] == 1
    assert any("second reports" in note for note in told["notes"])
    assert numbers(both, all_reports=True)["summary"]["bytes"] == 3499


def test_the_way_back_and_a_different_verdict_are_other_flows(numbers):
    told = numbers(
        [
            flow(interface_id="eni-1", reporter="source"),
            flow(interface_id="eni-2", reporter="destination", action="reject"),
            flow(interface_id="eni-2", reporter="source", src_addr="10.0.0.2", dst_addr="10.0.0.1"),
        ]
    )
    assert told["summary"]["second_reports"] == 0


def test_without_a_direction_two_interfaces_are_two_reports(numbers):
    told = numbers([flow(interface_id="eni-1"), flow(interface_id="eni-2")])
    assert told["summary"]["bytes"] == 1000


def test_both_directions_of_a_row_count(numbers):
    told = numbers([flow(bytes=1000, bytes_rev=50)])
    assert told["summary"]["bytes"] == 1050
    ends = by_name(told["sections"]["talkers"]["addresses"], "addr")
    assert (ends["10.0.0.1"]["sent"], ends["10.0.0.1"]["received"]) == (1000, 50)
    assert (ends["10.0.0.2"]["sent"], ends["10.0.0.2"]["received"]) == (50, 1000)


def test_sampled_rows_are_scaled_up(numbers):
    told = numbers([flow(sample_weight=100)])
    assert told["summary"]["bytes"] == 100_000
    assert told["summary"]["flows"] == 100
    assert any("sample_weight" in note for note in told["notes"])


def test_totals_of_a_rollup_are_added_up(numbers):
    total = {"window_start": made.BEGIN, "account_id": "1", "action": "accept", "server_port": 443,
             "protocol": 6, "bytes": 70_000, "packets": 70, "flows": 7}  # fmt: skip
    late = {**total, "bytes": 1000, "packets": 1, "flows": 1, "action": "reject"}
    told = numbers([total, late])
    assert (told["summary"]["rows"], told["summary"]["flows"]) == (2, 8)
    assert told["summary"]["bytes"] == 71_000
    assert told["summary"]["rejected"] == 1
    assert told["sections"]["services"]["services"][0]["name"] == "https tcp/443"
    assert any("rollup" in note for note in told["notes"])
    assert any("Top addresses: not shown" in said for said in told["not_shown"])


def test_services_go_by_the_servers_port_in_both_directions(numbers):
    told = numbers(
        [
            flow(src_port=40000, dst_port=443, bytes=100),
            flow(src_port=443, dst_port=40000, bytes=900, src_addr="10.0.0.2", dst_addr="10.0.0.1"),
            flow(src_port=None, dst_port=None, protocol=1, bytes=7),
            flow(src_port=50000, dst_port=50001, bytes=5),
        ]
    )
    rows = by_name(told["sections"]["services"]["services"])
    assert rows["https tcp/443"]["v"] == 1000
    assert rows["icmp (no ports)"]["v"] == 7
    assert rows["tcp, ports do not tell"]["v"] == 5


def test_rejections_by_rule(numbers):
    told = numbers(
        [
            flow(action="reject", rule="deny-all"),
            flow(action="drop", rule="deny-all"),
            flow(action="reject", rule=None, src_addr="203.0.113.9"),
            flow(rule="allow-web"),
        ]
    )["sections"]["rejected"]
    assert told["flows"] == 3
    assert {row["name"]: row["n"] for row in told["by_rule"]} == {
        "rule deny-all": 2,
        "no rule in the log": 1,
    }


def test_exposure_leaves_out_answers_and_what_was_rejected(numbers):
    outside = "8.8.8.8"
    told = numbers(
        [
            flow(src_addr=outside, dst_port=22),
            flow(src_addr=outside, dst_port=3389, action="reject"),
            flow(src_addr=outside, src_port=443, dst_port=50000),
            flow(src_addr=outside, src_port=50001, dst_port=50002, tcp_flags=2),
            flow(dst_addr=outside),
        ]
    )["sections"]["exposure"]
    assert {row["name"]: row["n"] for row in told["services"]} == {
        "ssh tcp/22": 1,
        "tcp, ports do not tell": 1,
    }
    scopes = {row["scope"]: row["n"] for row in told["scopes"]}
    assert scopes == {"inbound": 4, "outbound": 1}


def test_the_matrix_of_zones(numbers):
    told = numbers(
        [
            flow(src_zone="a", dst_zone="b", bytes=10),
            flow(src_zone="a", dst_zone="a", bytes=30),
            flow(src_zone=None, dst_zone="a", bytes=5),
            flow(src_zone=None, dst_zone=None, bytes=99),
        ]
    )["sections"]["paths"]["zone"]
    assert {(row["from"], row["to"]): row["bytes"] for row in told} == {
        ("a", "b"): 10,
        ("a", "a"): 30,
        ("not known", "a"): 5,
    }


def test_missing_hours_are_found(numbers, tmp_path):
    rows = [flow(60 * hour) for hour in range(24) if hour not in {3, 4, 9}]
    rows += [flow(60 * hour, account_id="444455556666") for hour in range(24)]
    expect = tmp_path / "expect.yaml"
    expect.write_text('accounts: ["111122223333", "777788889999"]\n')
    told = numbers(rows, expect=str(expect))["sections"]["coverage"]["account_id"]
    assert told["missing"] == {"111122223333": 3}
    assert told["expected_but_absent"] == ["777788889999"]
    assert (told["slots_covered"], told["slots_in_all"]) == (45, 72)


def test_the_finding_names_the_hours(lake):
    from ktrans_report.options import Options
    from ktrans_report.report import make

    rows = [flow(60 * hour) for hour in range(24) if hour not in {3, 4, 9}]
    report = make(Options(places=(lake(rows),)))
    figures = {figure.id: figure for section in report.sections for figure in section.figures}
    accounts = figures["coverage-account"]
    assert "3 hours of 24 are missing for 111122223333" in accounts.finding
    gaps = "2026-05-04 11:00 to 2026-05-04 13:00 and 2026-05-04 17:00 to 2026-05-04 18:00"
    assert gaps in accounts.table.rows[0]


def test_costs_only_with_prices(numbers):
    rows = [
        flow(dst_addr="8.8.8.8", bytes=2_000_000_000),
        flow(src_addr="8.8.8.8", dst_addr="10.0.0.1", bytes=9_000_000_000),
        flow(src_zone="a", dst_zone="b", bytes=10_000_000_000),
    ]
    assert "cost" not in numbers(rows)["sections"]
    told = numbers(rows, price_internet=0.1, price_zone=0.01, price_region=0.02)
    assert told["sections"]["cost"]["by_report"]["total_usd"] == pytest.approx(0.2 + 0.1)
    assert any("src_region" in said for said in told["not_shown"])


def test_only_the_period_asked_for(numbers):
    rows = [flow(0), flow(60), flow(120)]
    from ktrans_report.options import moment

    told = numbers(
        rows, start_us=moment("2026-05-04T09:00", ""), end_us=moment("2026-05-04T10:00Z", "")
    )
    assert told["summary"]["rows"] == 1


def test_nothing_in_the_period_is_said_and_no_error(numbers):
    from ktrans_report.options import moment

    told = numbers([flow(0)], start_us=moment("2030-01-01", ""))
    assert told["summary"]["rows"] == 0
    assert told["notes"][0].startswith("There are no rows in this period")


def test_rows_without_a_time_are_told(numbers):
    told = numbers([flow(0), {**flow(0), "start_time": None}])
    assert told["summary"]["rows"] == 1
    assert any(note.startswith("Without a time") and "1 row" in note for note in told["notes"])


def test_plain_text_columns_and_numbers_as_texts_will_do(tmp_path, numbers):
    from ktrans_report.options import Options
    from ktrans_report.report import make

    (tmp_path / "other").mkdir()
    pq.write_table(
        pa.table(
            {
                "start_time": pa.array([1_777_881_600_000_000_000], pa.timestamp("ns")),
                "src_addr": pa.array(["10.0.0.1"], pa.large_string()),
                "dst_addr": ["10.0.0.2"],
                "bytes": ["1234"],
                "account_id": ["000000000042"],
            }
        ),
        tmp_path / "other/a.parquet",
    )
    told = make(Options(places=(str(tmp_path / "other"),))).to_json()
    assert told["summary"]["bytes"] == 1234
    assert told["sections"]["talkers"]["accounts"][0]["name"] == "000000000042"


def test_counters_that_cannot_be_are_left_out_and_told(numbers):
    most = 2**63 - 1
    told = numbers(
        [
            flow(bytes=5),
            flow(bytes=most, sample_weight=100),
            flow(bytes=most, bytes_rev=most, packets=most),
        ]
    )
    assert told["summary"]["bytes"] == 5
    assert told["summary"]["impossible"] == 2
    assert any("With impossible counters: 2 rows" in note for note in told["notes"])


def test_rows_that_were_read_twice_are_counted_and_said(lake):
    from ktrans_report.options import Options
    from ktrans_report.report import make

    rows = [flow(source_uri="file:///a.log", source_pos=at) for at in (1, 2, 2, 2)]
    rows += [flow(source_uri="file:///b.log", source_pos=1), flow(), flow()]
    report = make(Options(places=(lake(rows),)))
    assert report.numbers["read_twice"] == 2
    assert report.notes[0].startswith("Read twice: 2 rows")
