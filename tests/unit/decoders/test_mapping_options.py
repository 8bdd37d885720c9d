"""What a mapping can say besides paths: formats and zones of times, patterns, durations, and so on."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.decoders.logs.flow_csv import FlowCsvDecoderConfig
from ktrans.decoders.logs.flow_json import FlowJsonDecoderConfig
from ktrans.decoders.time_formats import read_times, time_format
from ktrans.decoders.values import Rule, coerce
from ktrans.flow.tcp_flags import read_tcp_flags
from tests.examples import examples

FIRST, LAST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1971, 2068))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESSES = {"src_addr": "src", "dst_addr": "dst"}


def read(text, form, zone="UTC", now=NOW):
    [time] = read_times(pa.array([text]), time_format(form), zone, now).to_pylist()
    return None if time is None else time.replace(tzinfo=UTC).isoformat().replace("+00:00", "")


def one(run, record, **options):
    done = run(json.dumps({"src": "10.0.0.1", "dst": "10.0.0.2", **record}), "flow_json", **options)
    assert not done.rejects
    return done.rows[0]


@pytest.mark.parametrize(
    ("text", "form", "want"),
    [
        ("2026/02/01 10:00:05", "%Y/%m/%d %H:%M:%S", "2026-02-01T10:00:05"),
        ("20260201100005", "%Y%m%d%H%M%S", "2026-02-01T10:00:05"),
        ("1/Feb/2026:10:00:05 +0130", "%d/%b/%Y:%H:%M:%S %z", "2026-02-01T08:30:05"),
        ("2026-02-01T10:00:05-05", "%FT%T%z", "2026-02-01T15:00:05"),
        ("01.02.2026 10:00", "%d.%m.%Y %H:%M", "2026-02-01T10:00:00"),
        ("Sun Feb  1 10:00:05.25 2026", "%a %b %e %T.%f %Y", "2026-02-01T10:00:05.250000"),
        ("2/1/26 12:05 AM", "%m/%d/%y %I:%M %p", "2026-02-01T00:05:00"),
        ("2/1/99 12:05 pm", "%m/%d/%y %I:%M %p", "1999-02-01T12:05:00"),
        ("February 1, 2026", "%B %d, %Y", "2026-02-01T00:00:00"),
        ("2026-02-01 10:00:05,123456789 UTC", "%F %T,%f %Z", "2026-02-01T10:00:05.123456"),
        ("100% 2026-02-01", "100%% %F", "2026-02-01T00:00:00"),
        ("2026-02-31", "%F", None),
        ("2026-13-01", "%F", None),
        ("2026-02-01 25:00", "%F %R", None),
        ("2026-02-01 13:00 PM", "%F %I:%M %p", None),
        ("Foo 1 2026", "%b %d %Y", None),
        ("2026-02-01 and more", "%F", None),
        ("", "%F", None),
    ],
)
def test_times_by_a_format(text, form, want):
    assert read(text, form) == want


@pytest.mark.parametrize(
    ("text", "now", "year"),
    [
        ("Feb 28 23:59:59", NOW, 2026),
        ("Mar  2 11:59:59", NOW, 2026),
        ("Mar  2 12:00:01", NOW, 2025),
        ("Dec 31 23:59:59", NOW, 2025),
        ("Feb 29 10:00:00", NOW.replace(year=2025), 2024),
        ("Jan  1 00:00:01", datetime(2025, 12, 31, 20, tzinfo=UTC), 2026),
    ],
)
def test_a_time_without_a_year_is_the_last_that_is_not_ahead(text, now, year):
    assert read(text, "%b %e %H:%M:%S", now=now).startswith(str(year))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2026-01-15 12:00:00", "2026-01-15T11:00:00"),
        ("2026-07-15 12:00:00", "2026-07-15T10:00:00"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00"),
        ("2026-03-29 02:30:00", "2026-03-29T01:00:00"),
    ],
)
def test_times_without_a_zone_are_of_the_zone_that_is_given(run, text, want):
    assert read(text, "%F %T", "Europe/Berlin") == want
    row = one(run, {"t": text}, fields={**ADDRESSES, "start_time": "t"}, time_zone="Europe/Berlin")
    assert row["start_time"].isoformat() == f"{want}+00:00"


def test_a_reject_names_the_format_that_a_time_does_not_have(run):
    fields = {**ADDRESSES, "start_time": {"path": "t", "format": ["%d.%m.%Y", "%d/%m/%Y"]}}
    record = {"src": "10.0.0.1", "dst": "10.0.0.2", "t": "2026_03_01"}
    done = run(json.dumps(record), "flow_json", fields=fields)
    [reject] = done.rejects
    assert reject["detail"].endswith("nor one of the format %d.%m.%Y or %d/%m/%Y")


@pytest.mark.parametrize(
    "text", ["2026-01-15 12:00:00Z", "2026-01-15T13:00:00+01:00", "1768478400"]
)
def test_a_zone_of_its_own_counts_more(run, text):
    fields = {**ADDRESSES, "start_time": {"path": "t", "format": "%d.%m.%Y"}}
    row = one(run, {"t": text}, fields=fields, time_zone="America/New_York")
    assert row["start_time"] == datetime(2026, 1, 15, 12, tzinfo=UTC)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.datetimes(FIRST, LAST), min_size=1),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%d %B %Y, %I.%M.%S %p %f", "%a %b %d %T %y %f"]),
)
def test_formats_read_what_strftime_writes(times, form):
    texts = pa.array([time.strftime(form) for time in times])
    found = read_times(texts, time_format(form), "UTC", NOW).to_pylist()
    assert [time.replace(tzinfo=None) for time in found] == times


@pytest.mark.parametrize("form", ["%Q", "%H:%M", "%Y-%d", "%d %d %b", "%d %b %I", "%j %Y"])
def test_a_format_that_cannot_be_read_is_explained(form):
    with pytest.raises(ValueError, match="%"):
        time_format(form)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("...AP.SF", 27), ("........", 0), ("SYN,ACK", 18), ("syn ack", 18), ("SA", 18), ("S", 2),
        ("FIN|PSH|ACK", 25), ("CEUAPRSF", 255), ("0x12", 18), ("PA", 24), ("SEW", 194), ("none", 0),
        ("SYN,FOO", None), ("hello", None), ("x", None),
    ],
)  # fmt: skip
def test_flags_as_text(text, mask):
    assert read_tcp_flags(text) == mask
    typed, wrong = coerce(Rule("flags"), pa.array([text, "24"]))
    assert typed.to_pylist() == [mask, 24]
    assert (wrong is None) == (mask is not None)


def test_nulls_of_the_log_are_null_everywhere(run):
    fields = {**ADDRESSES, "start_time": "t", "bytes": "n", "rule": "r"}
    record = {"t": "0000-00-00 00:00:00", "n": "N/A", "r": "N/A"}
    row = one(run, record, fields=fields, null_values=("N/A", "0000-00-00 00:00:00"))
    assert row["start_time"] is row["bytes"] is row["rule"] is None


@pytest.mark.parametrize(
    ("value", "options", "seconds"),
    [
        (1.5, {}, 1.5),
        ("2", {}, 2),
        (1500, {"unit": "ms"}, 1.5),
        ("250000", {"unit": "us"}, 0.25),
        (9_007_200_000_000_001, {"unit": "ns"}, 9_007_200),
        (0, {}, 0),
        ("-", {}, None),
    ],
)
def test_an_end_or_a_begin_from_a_duration(run, value, options, seconds):
    for column, other, sign in (("end_time", "start_time", 1), ("start_time", "end_time", -1)):
        mapping = {"path": "d", "duration": True, **options}
        fields = {**ADDRESSES, other: "t", column: mapping}
        line = {"src": "10.0.0.1", "dst": "10.0.0.2", "t": 1772359200, "d": value}
        for columns in (None, [column]):
            [row] = run(json.dumps(line), "flow_json", columns=columns, fields=fields).rows
            found = None if row[column] is None else row[column].timestamp() - 1772359200
            assert found == (None if seconds is None else sign * seconds)


def test_what_a_pattern_finds_counts_and_the_text_is_kept(run):
    fields = {
        **ADDRESSES,
        "dst_port": [
            {"path": "service", "pattern": "tcp/(?P<value>[0-9]+)"},
            {"path": "service", "pattern": "^[0-9]+$"},
        ],
        "action": {"path": "m", "pattern": "BLOCK|ALLOW", "values": {"block": "drop"}},
    }
    rows = [
        one(run, {"service": "tcp/22", "m": "[UFW BLOCK]"}, fields=fields),
        one(run, {"service": "443", "m": "[UFW ALLOW]"}, fields=fields),
        one(run, {"service": "icmp", "m": "nothing"}, fields=fields),
        one(run, {"service": 80}, fields=fields),
    ]
    assert [row["dst_port"] for row in rows] == [22, 443, None, 80]
    assert [row["action"] for row in rows] == ["drop", "ALLOW", None, None]
    assert dict(rows[0]["attrs"]) == {"m": "[UFW BLOCK]", "service": "tcp/22"}


def test_other_records_are_skipped(run):
    lines = [
        {"src": "10.0.0.1", "dst": "10.0.0.2", "kind": kind, "a": {"b": "x"}}
        for kind in ("flow", "netflow", "alert", None)
    ]
    only = {"kind": ("flow", "netflow"), "a.b": "x"}
    done = run([json.dumps(line) for line in lines], "flow_json", fields=ADDRESSES, only=only)
    assert (done.positions, done.skipped) == ([1, 2, 4], 1)
    other = run(
        [json.dumps(line) for line in lines], "flow_json", fields=ADDRESSES, only={"a.b": "y"}
    )
    assert other.skipped == 4


def test_counters_are_multiplied_by_a_value_of_the_record(run):
    fields = {**ADDRESSES, "bytes": "n", "bytes_rev": "m"}
    options = {"fields": fields, "scale_by": "rate"}
    row = one(run, {"n": 5, "m": 7, "rate": 100}, **options)
    assert (row["bytes"], row["bytes_rev"], dict(row["attrs"])) == (500, 700, {"rate": "100"})
    assert one(run, {"n": 5}, **options)["bytes"] == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time_zone": "Europe/Nowhere"}, "no time zone Europe/Nowhere"),
        ({"fields": {"bytes": {"path": "n", "format": "%F"}}}, "only times have a format"),
        ({"fields": {"start_time": {"path": "n", "format": "%Q"}}}, "%Q cannot be read"),
        ({"fields": {"bytes": {"path": "n", "duration": True}}}, "only start_time and end_time"),
        ({"fields": {"end_time": {"path": "n", "duration": True}}}, "needs start_time"),
        ({"fields": {"rule": {"path": "n", "pattern": "(a)"}}}, "groups are"),
        ({"fields": {"rule": {"path": "n", "pattern": "["}}}, "pattern"),
        ({"only": {"a..b": "x"}}, "is not a path"),
        ({"scale_by": "a..b"}, "is not a path"),
        ({"records": "a..b"}, "is not a path"),
    ],
)
def test_a_wrong_config_is_explained(options, words):
    with pytest.raises(ValidationError) as caught:
        FlowJsonDecoderConfig(**{"fields": ADDRESSES, **options})
    assert words in str(caught.value)


def test_what_is_skipped_by_is_a_column_too():
    with pytest.raises(ValidationError, match="kind is not one of `columns`"):
        FlowCsvDecoderConfig(fields=ADDRESSES, columns=("src", "dst"), only={"kind": "flow"})


@pytest.mark.parametrize("given", [{"pth": "x"}, [{"pth": "x"}, "y"]])
def test_of_an_option_that_is_not_known_nothing_else_is_said(given):
    with pytest.raises(ValidationError) as caught:
        FlowJsonDecoderConfig(fields={**ADDRESSES, "bytes": given})
    assert {each["type"] for each in caught.value.errors()} == {"missing", "extra_forbidden"}
