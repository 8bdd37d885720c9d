"""one_report: which of several reports of a flow stays, checked against a plain model."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import ConfigError, Context, EpochId, RunError, TaskId
from ktrans.enrichers.one_report import (
    OneReportEnricher,
    OneReportEnricherConfig,
)
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.kit.flow_rules import PREFERRED_LOG_TYPES as LOG_TYPES
from ktrans.kit.flow_rules import PREFERRED_REPORTERS as SIDES
from tests.examples import examples

TASK = TaskId(EpochId("p", 1), 0)
DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CONFIG = "resource.labels.name"


def at(seconds):
    return None if seconds is None else DAY + dt.timedelta(seconds=seconds)


def report(start, end, **more):
    """Make a row; `config` is the name of the flow log configuration."""
    row = {
        "provider": "gcp",
        "log_type": "gcp.vpc",
        "src_addr": "10.0.0.1",
        "dst_addr": "10.0.0.2",
        "src_port": 40_000,
        "dst_port": 443,
        "protocol": 6,
        "bytes": 1,
        "start_time": at(start),
        "end_time": at(end),
        **more,
    }
    if config := row.pop("config", None):
        row["attrs"] = [("a", "b"), (CONFIG, config)]
    return row


def run(rows, sizes=(), schema=FLOW_SCHEMA, **options):
    """Return the numbers of the rows that stay, in order, cutting the rows into batches of `sizes`."""
    rows = [{**row, "source_pos": number} for number, row in enumerate(rows)]
    whole = pa.RecordBatch.from_pylist(rows, schema=schema)
    enricher = OneReportEnricher(OneReportEnricherConfig(**options))
    assert enricher.bind(whole.schema) == whole.schema
    held = enricher.begin(TASK)
    out, done = [], 0
    for size in (*sizes, len(rows)):
        out.append(held.apply(whole.slice(done, size)))
        done += size
    out += held.finish()
    for batch in out:
        assert batch.schema.equals(whole.schema, check_metadata=True)
        batch.validate(full=True)
    found = [row for batch in out for row in batch.to_pylist()]
    stayed = [row["source_pos"] for row in found]
    original = whole.to_pylist()
    assert found == [original[number] for number in stayed]
    return stayed


def test_the_source_side_stays_whichever_comes_first():
    source = report(0, 5, reporter="source", instance_id="a")
    destination = report(1, 6, reporter="destination", instance_id="b")
    assert run([source, destination]) == [0]
    assert run([destination, source]) == [1]
    assert run([destination, source], sides=["destination", "source"]) == [0]


def test_a_destination_alone_stays():
    rows = [report(0, 5, reporter="destination"), report(0, 5, reporter="source", dst_port=80)]
    assert run(rows) == [0, 1]


def test_of_overlapping_configurations_the_lowest_name_stays():
    rows = [report(0, 5, reporter="source", config=name) for name in ("org", "net", "subnet")]
    assert run(rows) == [1]
    assert run(rows, config_attr=None) == [0, 1, 2]


def test_case_52_vnet_flow_logs_stay_before_those_of_security_groups():
    both = [
        report(0, None, provider="azure", log_type=kind, reporter="interface", interface_id="00AA")
        for kind in ("azure.nsg", "azure.vnet", "azure.nsg")
    ]
    assert run(both) == [1]
    assert run(both, log_types=["azure.nsg"]) == [0, 2]


def test_case_18_of_two_interfaces_the_source_side_or_else_the_lowest_stays():
    aws = {"provider": "aws", "log_type": "aws.vpc"}
    client = report(0, 50, **aws, reporter="source", interface_id="eni-2")
    server = report(10, 70, **aws, reporter="destination", interface_id="eni-1")
    assert run([server, client]) == [1]
    unknown = [{**row, "reporter": "interface"} for row in (client, server)]
    assert run(unknown) == [1]


def test_the_way_back_and_another_verdict_are_not_the_same_flow():
    there = report(0, 5, reporter="source")
    back = {
        **there,
        "src_addr": "10.0.0.2",
        "dst_addr": "10.0.0.1",
        "src_port": 443,
        "dst_port": 40_000,
    }
    back["reporter"] = "destination"
    refused = {**there, "reporter": "destination", "action": "reject"}
    assert run([there, back, refused]) == [0, 1, 2]


def test_every_window_of_the_better_side_stays_and_others_only_where_it_saw_nothing():
    source = [report(s, s + 59, reporter="source") for s in (0, 60, 300)]
    destination = [report(s, s + 59, reporter="destination") for s in (20, 80, 200, 320)]
    assert run(source + destination, slack=0) == [0, 1, 2, 5]
    assert run(source + destination, slack=200) == [0, 1, 2]


@pytest.mark.parametrize(("slack", "stay"), [(4, [0, 1]), (4.999999, [0, 1]), (5, [0])])
def test_the_slack_is_exact(slack, stay):
    rows = [report(0, 5, reporter="source"), report(10, 12, reporter="destination")]
    assert run(rows, slack=slack) == stay


def test_what_was_itself_quarantined_covers_nothing():
    rows = [
        report(0, 10, reporter="source"),
        report(5, 30, reporter="source_gateway"),
        report(20, 40, reporter="destination"),
    ]
    assert run(rows, slack=0) == [0, 2]


def test_rows_without_addresses_or_times_stay():
    rows = [report(0, 5, reporter=side) for side in ("source", "destination")]
    for name in ("src_addr", "dst_addr", "start_time"):
        assert run([{**row, name: None} for row in rows]) == [0, 1]


def test_copies_from_one_capture_point_stay():
    assert run([report(0, 5, reporter="source")] * 3) == [0, 1, 2]


def test_a_run_of_max_rows_is_decided_by_itself():
    rows = [report(0, 5, reporter=side) for side in ("source", "destination")] * 3
    assert run(rows, max_rows=2) == [0, 2, 4]
    assert run(rows, max_rows=3) == [0, 2, 4]
    assert run(rows, max_rows=1) == [0, 1, 2, 3, 4, 5]


def test_rows_that_do_not_fit_in_memory_come_back_from_disk(tmp_path):
    rows = [report(i, i, reporter=side, config="c") for i in range(50) for side in SIDES[:2]]
    sizes = [7] * 10
    expected = run(rows, sizes)
    assert expected == list(range(0, 100, 2))
    for memory in (0, 5_000):
        assert run(rows, sizes, memory=memory, spill_folder=str(tmp_path)) == expected
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    config = OneReportEnricherConfig(memory=0, spill_folder="nowhere")
    enricher = OneReportEnricher(config, Context(base_dir=tmp_path))
    batch = pa.RecordBatch.from_pylist([report(0, 1)], schema=FLOW_SCHEMA)
    enricher.bind(batch.schema)
    with pytest.raises(RunError, match="nowhere"):
        enricher.begin(TASK).apply(batch)


def test_another_attempt_begins_with_nothing():
    batch = pa.RecordBatch.from_pylist([report(0, 5, reporter="destination")], schema=FLOW_SCHEMA)
    enricher = OneReportEnricher(OneReportEnricherConfig())
    enricher.bind(batch.schema)
    enricher.begin(TASK).apply(batch)
    again = enricher.begin(TASK)
    assert not again.apply(batch).num_rows
    assert sum(out.num_rows for out in again.finish()) == 1


def test_a_missing_column_is_named():
    enricher = OneReportEnricher(OneReportEnricherConfig())
    with pytest.raises(ConfigError, match="end_time"):
        enricher.bind(FLOW_SCHEMA.remove(FLOW_SCHEMA.get_field_index("end_time")))


def preference(row):
    """Say in what order capture points come."""

    def place(text, order):
        return (text is None, order.index(text) if text in order else len(order), text or "")

    config = dict(row.get("attrs", [])).get(CONFIG)
    names = [config, row.get("interface_id"), row.get("instance_id"), row.get("account_id")]
    return (
        place(row.get("log_type"), LOG_TYPES),
        place(row.get("reporter"), SIDES),
        *[(name is None, name or "") for name in names],
    )


def model(rows, slack):
    """Say the same in plain Python."""
    names = ("provider", "src_addr", "dst_addr", "src_port", "dst_port", "protocol", "action")
    kept = {}
    stay = []
    for number, row in sorted(enumerate(rows), key=lambda item: preference(item[1])):
        start, end = row["start_time"], row["end_time"]
        if start is None or row["src_addr"] is None:
            stay.append(number)
            continue
        end = start if end is None else max(start, end)
        others = kept.setdefault(tuple(row.get(name) for name in names), [])
        gap = dt.timedelta(seconds=slack)
        if any(
            point != preference(row) and begin <= end + gap and start <= until + gap
            for point, begin, until in others
        ):
            continue
        others.append((preference(row), start, end))
        stay.append(number)
    return sorted(stay)


REPORTS = st.builds(
    lambda start, length, **more: report(start, length and start + length, **more),
    st.integers(0, 30),
    st.sampled_from([None, 0, 1, 5, 20, -3]),
    src_addr=st.sampled_from(["10.0.0.1", "10.0.0.1", "10.0.0.3", None]),
    src_port=st.sampled_from([40_000, None]),
    log_type=st.sampled_from(["gcp.vpc", "azure.nsg", "azure.vnet"]),
    reporter=st.sampled_from(["source", "destination", "other", None]),
    interface_id=st.sampled_from(["eni-1", "eni-2", None]),
    action=st.sampled_from(["accept", None]),
    config=st.sampled_from(["x", "y", None]),
)


@given(
    st.lists(REPORTS, max_size=40),
    st.sampled_from([0, 1, 10]),
    st.lists(st.integers(0, 15), max_size=6),
)
@settings(max_examples=examples(100), deadline=None)
def test_it_agrees_with_a_plain_model_however_the_rows_are_cut(rows, slack, sizes):
    expected = model(rows, slack)
    assert run(rows, sizes, slack=slack) == expected
    assert run(rows, slack=slack, memory=0) == expected
