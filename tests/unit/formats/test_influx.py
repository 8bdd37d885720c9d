"""Line protocol: what a server would read, and that no two rows become one point."""

import random
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.api import ConfigError, RowsError
from ktrans.flow.schema import TEXT, TIME
from ktrans.kit.rows.influx import InfluxFormat, InfluxFormatConfig
from tests.examples import examples


def make(schema, **options):
    made = InfluxFormat(InfluxFormatConfig(**options))
    made.bind(schema)
    return made


def lines_of(batch, **options):
    return bytes(make(batch.schema, **options).encode(batch).data).decode().splitlines()


# --- a reader of line protocol, character by character, as a server reads it ---


def scan(text, at, stops):
    """Read up to an unescaped stop; a backslash hides what it precedes if that is special."""
    out = ""
    while text[at] not in stops:
        if text[at] == "\\" and text[at + 1] in ", =":
            at += 1
        out += text[at]
        at += 1
    return out, at


def scan_value(text, at):
    if text[at] != '"':
        return scan(text, at, ", ")
    out, at = '"', at + 1
    while text[at] != '"':
        if text[at] == "\\" and text[at + 1] in '\\"':
            at += 1
        out += text[at]
        at += 1
    return out, at + 1


def parse(line):
    measurement, at = scan(line, 0, ", ")
    tags, fields = {}, {}
    while line[at] == ",":
        key, at = scan(line, at + 1, "=")
        tags[key], at = scan(line, at + 1, ", ")
    while line[at] in " ,":
        key, at = scan(line, at + 1, "= ,")
        fields[key], at = scan_value(line, at + 1)
        if line[at] == " ":
            break
    return measurement, tags, fields, int(line[at + 1 :])


def point(line):
    """What InfluxDB tells points by."""
    measurement, tags, _, time = parse(line)
    return measurement, tuple(sorted(tags.items())), time


START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = 1_772_323_200


def batch_of(**columns):
    rows = len(next(iter(columns.values())))
    columns = {
        "start_time": pa.array([START] * rows, TIME),
        "source_uri": pa.array(["file:///a"] * rows, TEXT),
        "source_pos": pa.array(range(1, rows + 1), pa.int64()),
        **columns,
    }
    return pa.record_batch(columns)


def test_a_row_is_measurement_tags_fields_and_time():
    batch = batch_of(
        action=pa.array(["accept"], TEXT),
        protocol=pa.array([6], pa.int16()),
        region=pa.array([None], TEXT),
        bytes=pa.array([840], pa.int64()),
        bytes_rev=pa.array([None], pa.int64()),
    )
    [line] = lines_of(batch, uniqueness="none")
    assert line == f"flow,action=accept,protocol=6 flows=1i,bytes=840i {SECOND}000000000"


def test_each_type_has_its_field_form():
    batch = batch_of(
        n=pa.array([-5], pa.int16()),
        u=pa.array([2**64 - 1], pa.uint64()),
        f=pa.array([0.25], pa.float64()),
        odd=pa.array([float("nan")], pa.float64()),
        yes=pa.array([True]),
        text=pa.array(['say "hi" \\ there'], TEXT),
    )
    fields = ["n", "u", "f", "odd", "yes", "text", "start_time"]
    [line] = lines_of(batch, fields=fields, tags=[], uniqueness="none")
    assert parse(line)[2] == {
        "flows": "1i",
        "n": "-5i",
        "u": "18446744073709551615u",
        "f": "0.25",
        "yes": "true",
        "text": '"say "hi" \\ there',
        "start_time": f"{SECOND}000000i",
    }


awkward = st.text(st.sampled_from(list('a ,="\\\n\r\té')), min_size=1, max_size=6)


def as_read(text, *, tag):
    """What a reader gets of a text: controls as two characters, no backslash at a tag's end."""
    controls = {"\n": "\\n", "\r": "\\r", **({"\t": "\\t"} if tag else {})}
    if tag and text.endswith("\\"):
        text += " "
    return "".join(controls.get(char, char) for char in text)


@settings(max_examples=examples(100), deadline=None)
@given(awkward, awkward)
def test_awkward_text_reads_back_and_never_breaks_a_line(tag, field):
    batch = batch_of(t=pa.array([tag], TEXT), f=pa.array([field], TEXT))
    [line] = lines_of(batch, tags=["t"], fields=["f"], uniqueness="none")
    _, tags, fields, time = parse(line)
    assert tags == {"t": as_read(tag, tag=True)}
    assert fields["f"] == '"' + as_read(field, tag=False)
    assert time == SECOND * 10**9


def test_names_are_escaped_too():
    batch = batch_of(**{"my tag=1": pa.array(["x"], TEXT), "my,field": pa.array([1])})
    [line] = lines_of(
        batch,
        measurement="net flow,all",
        tags=["my tag=1"],
        fields=["my,field"],
        uniqueness="none",
    )
    measurement, tags, fields, _ = parse(line)
    assert measurement == "net flow,all"
    assert tags == {"my tag=1": "x"}
    assert fields["my,field"] == "1i"


def test_empty_tags_are_left_out():
    batch = batch_of(action=pa.array(["", None, "drop"], TEXT), bytes=pa.array([1, 2, 3]))
    tags = [parse(line)[1] for line in lines_of(batch, uniqueness="none")]
    assert tags == [{}, {}, {"action": "drop"}]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("ns", SECOND * 10**9), ("us", SECOND * 10**6), ("ms", SECOND * 1000), ("s", SECOND)],
)
def test_times_come_in_the_unit_asked_for(precision, expected):
    [line] = lines_of(batch_of(bytes=pa.array([1])), precision=precision, uniqueness="none")
    assert parse(line)[3] == expected


def test_the_first_time_that_a_row_has_is_taken():
    batch = batch_of(end_time=pa.array([None, START.replace(hour=1)], TIME))
    times = [parse(line)[3] for line in lines_of(batch, precision="s", uniqueness="none")]
    assert times == [SECOND, SECOND + 3600]


def test_a_row_without_any_time_is_refused_and_says_why():
    batch = batch_of(start_time=pa.array([None, START], TIME))
    with pytest.raises(RowsError, match="the row has no time") as caught:
        lines_of(batch)
    assert caught.value.rows.to_pylist() == [True, False]
    assert "start_time is not null" in caught.value.hint


def test_a_time_that_influxdb_cannot_hold_is_refused():
    batch = batch_of(start_time=pa.array([START.replace(year=2300)], TIME))
    with pytest.raises(RowsError, match="2262"):
        lines_of(batch)


def test_without_a_count_rows_need_a_field():
    columns = {"bytes": pa.array([1, None, None]), "packets": pa.array([None, 2, 3])}
    options = {"count_field": None, "uniqueness": "none", "precision": "s"}
    fields = [parse(line)[2] for line in lines_of(batch_of(**columns), **options)]
    assert fields == [{"bytes": "1i"}, {"packets": "2i"}, {"packets": "3i"}]
    columns["packets"] = pa.array([None, 2, None])
    with pytest.raises(RowsError) as caught:
        lines_of(batch_of(**columns), **options)
    assert caught.value.rows.to_pylist() == [False, False, True]


def test_it_asks_for_the_columns_that_it_writes_and_no_others():
    made = InfluxFormat(InfluxFormatConfig(tags=["action"], fields=["bytes"], time=["end_time"]))
    assert set(made.needs()) == {"action", "bytes", "end_time", "source_uri", "source_pos"}
    none = InfluxFormatConfig(
        tags=["action"], fields=["bytes"], time=["end_time"], uniqueness="none"
    )
    assert set(InfluxFormat(none).needs()) == {"action", "bytes", "end_time"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": ["acton"]}, "acton"),
        ({"fields": ["octets"]}, "octets"),
        ({"time": ["bytes"]}, "not a time"),
    ],
)
def test_a_column_that_is_not_there_or_does_not_fit_is_a_config_error(options, message):
    with pytest.raises(ConfigError, match=message):
        make(batch_of(bytes=pa.array([1])).schema, **options)


def test_rows_without_origin_need_uniqueness_none():
    schema = pa.schema([("start_time", TIME), ("bytes", pa.int64())])
    with pytest.raises(ConfigError, match="source_uri") as caught:
        make(schema)
    assert "uniqueness: none" in caught.value.hint
    make(schema, uniqueness="none")


@pytest.mark.parametrize(
    "options",
    [
        {"tags": ["bytes"]},
        {"tags": ["time"]},
        {"precision": "s"},
        {"measurement": "#x"},
        {"fields": [], "count_field": None},
    ],
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ValidationError):
        InfluxFormatConfig(**options)


# --- uniqueness ---


POSITIONS = st.sampled_from([k * 1000 + j for k in range(4) for j in range(1, 5)])


@st.composite
def data_sets(draw):
    """Rows as logs bring them: many in one second of one series, several objects, any order."""
    objects = draw(st.lists(st.text(max_size=4), min_size=1, max_size=4, unique=True))
    rows = [
        (uri, position, draw(st.integers(0, 1)), draw(st.sampled_from(["accept", "reject", None])))
        for uri in objects
        # A thousand apart, because a microsecond of difference in time is that many positions.
        for position in draw(st.lists(POSITIONS, unique=True, max_size=12))
    ]
    return draw(st.permutations(rows))


def batch_from(rows):
    uris, positions, offsets, actions = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.record_batch(
        {
            "start_time": pa.array([START.replace(microsecond=o) for o in offsets], TIME),
            "action": pa.array(actions, TEXT),
            "source_uri": pa.array(uris, TEXT),
            "source_pos": pa.array(positions, pa.int64()),
        }
    )


@settings(max_examples=examples(60), deadline=None)
@given(
    data_sets(),
    st.integers(1, 7),
    st.sampled_from(
        [("sequence", "ns"), ("object_tag", "ns"), ("row_tag", "ns"), ("row_tag", "s")]
    ),
)
def test_no_row_is_lost_and_batches_make_no_difference(rows, size, how):
    uniqueness, precision = how
    whole = batch_from(rows)
    made = make(whole.schema, uniqueness=uniqueness, precision=precision)
    together = bytes(made.encode(whole).data).decode().splitlines()
    apart = []
    for start in range(0, len(rows), size):
        part = batch_from(rows[start : start + size])  # with dictionaries of its own
        apart += bytes(made.encode(part).data).decode().splitlines()
    assert apart == together
    assert len({point(line) for line in together}) == len(rows)
    assert all(parse(line)[3] // (10**9 if precision == "ns" else 1) == SECOND for line in together)


@pytest.mark.slow
def test_a_million_rows_of_one_object_in_one_second_stay_a_million_points():
    rows = 1_000_000
    positions = list(range(1, rows + 1))
    random.Random(1).shuffle(positions)
    batch = pa.record_batch(
        {
            "start_time": pa.array([START], TIME).take(pa.array([0] * rows)),
            "source_uri": pa.array(["s3://logs/one.gz"], TEXT).take(pa.array([0] * rows)),
            "source_pos": pa.array(positions, pa.int64()),
        }
    )
    made = make(batch.schema)
    assert len(set(bytes(made.encode(batch).data).splitlines())) == rows


def test_with_nothing_added_rows_of_one_second_are_one_point():
    batch = batch_of(bytes=pa.array([1, 2]))
    assert len({point(line) for line in lines_of(batch, uniqueness="none")}) == 1
