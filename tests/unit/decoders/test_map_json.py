"""Reading JSON: the quick way and the exact way agree, and a mapping in the config is followed."""

import json
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.api import Limits
from ktrans.decoders.logs.flow_json import FlowJsonDecoderConfig
from ktrans.decoders.mapped.table import parse_path
from ktrans.decoders.read import json_fast as _json_map_parse
from ktrans.decoders.read.json_careful import read_carefully
from ktrans.decoders.read.json_fast import Parser
from ktrans.decoders.read.raw_columns import Shape
from tests.examples import examples

ENDS = {"src_addr": "s", "dst_addr": "d"}


def flow(line):
    """Return a record two addresses."""
    return line.replace("{", '{"s":"10.0.0.1","d":"10.0.0.2",', 1)


SHAPE = Shape(frozenset({("o",), ("o", "p")}))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.5, 1.0, 1e22, "", "-", "x", "2026-03-01T00:00:00Z", "2026-03-01", "é", "7"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abop"), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "o", "p", "x.y", ""]), VALUES, max_size=5),
    min_size=1,
    max_size=6,
)


def lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def plain(native):
    """Return the columns for comparison: type and values by path; texts may be by distinct value."""
    columns = {
        path: column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for path, column in native.columns.items()
    }
    return {path: (str(column.type), column.to_pylist()) for path, column in columns.items()}


@settings(max_examples=examples(100), deadline=None)
@given(RECORDS)
@example([{"a": 1}, {"a": 1.0}])
@example([{"o": {"p": {"q": 1}}}, {"o": {"p": 3}}])
@example([{"a": [1, 2.0, None]}, {"a": []}])
@example([{"o": {}}, {"o": {"a": {}}}])
@example([{"a": [None, None]}, {"a": None}])
@example([{"o": {"a": [None]}}, {"o": None}, {"o": {"p": {"b": [[None]]}}}])
def test_both_ways_of_reading_give_the_same_columns(records):
    data = lines(records)
    quick = Parser(SHAPE).read(data, len(records))
    exact = read_carefully(data, SHAPE)
    assert quick.rows == exact.rows == len(records)
    assert plain(quick) == plain(exact)


@settings(max_examples=examples(50), deadline=None)
@given(RECORDS, RECORDS)
def test_what_was_read_before_changes_nothing(first, second):
    fresh, seasoned = Parser(SHAPE), Parser(SHAPE)
    seasoned.read(lines(first), len(first))
    data = lines(second)
    assert plain(seasoned.read(data, len(second))) == plain(fresh.read(data, len(second)))


@settings(max_examples=examples(50), deadline=None)
@given(RECORDS, st.integers(0, 6))
@example([{"a": 2**60}, {"a": 0.5}, {"a": 1}, {"a": 0.5}], 1)
@example([{"a": 1}, {"a": 1}, {"a": 1.5}, {"a": 1}], 4)
def test_a_block_that_is_read_in_parts_has_the_same_columns(records, place):
    texts = lines(records).splitlines()
    texts.insert(min(place, len(texts)), b"{broken")
    data = b"\n".join(texts) + b"\n"
    with patch.object(_json_map_parse, "_PART_LINES", 2):
        parts = Parser(SHAPE).read(data, len(texts))
    exact = read_carefully(data, SHAPE)
    assert plain(parts) == plain(exact)
    assert parts.lines.tolist() == exact.lines.tolist()
    assert parts.faults == exact.faults


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1}{"a":2}',
        b'{"a":1} x',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":01}',
        b'{"a":1e999}',
        b'{"a":"tab\there"}',
        b"{'a':1}",
        b'{"a":1',
        b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 150_000 + b"1" + b"}" * 150_000,
    ],
)
def test_a_broken_line_is_found_among_good_ones(line):
    data = b'{"a":1}\n' + line + b'\n{"a":3}\n'
    found = Parser(SHAPE).read(data, 3)
    assert found.faults.lines == [1]
    assert found.faults.reasons == ["bad_json"]
    assert found.lines.tolist() == [0, 2]
    assert found.columns["a",].to_pylist() == [1, 3]


def test_63_text_numbers_and_mixes_of_them_are_one_column(run):
    given = [
        '{"t":1,"p":1}',
        '{"t":"1","p":"2"}',
        '{"t":1.0,"p":3.0}',
        '{"t":1,"p":null}',
        '{"t":1}',
    ]
    fields = {"dst_port": "p", "start_time": "t", **ENDS}
    rows = run([flow(line) for line in given], "flow_json", fields=fields).rows
    assert [row["dst_port"] for row in rows] == [1, 2, 3, None, None]
    assert len({row["start_time"] for row in rows}) == 1


def test_42_unknown_members_become_attributes_nested_ones_as_json(run):
    record = {
        "t": 1,
        "o": {"a": "x", "new": {"k": [1, None]}},
        "n": 5,
        "e": {},
        "z": None,
        "w": "-",
    }
    fields = {"start_time": "t", "rule": "o.a", **ENDS}
    [row] = run(flow(json.dumps(record)), "flow_json", fields=fields).rows
    assert row["rule"] == "x"
    assert dict(row["attrs"]) == {"e": "{}", "n": "5", "o.new": '{"k":[1,null]}'}


def test_attributes_can_be_left_out(run):
    done = run(
        flow('{"t":1,"x":2}'), "flow_json", fields={"start_time": "t", **ENDS}, rest="ignore"
    )
    assert done.rows[0]["attrs"] is None


def test_only_the_value_that_is_taken_has_to_be_right(run):
    given = ['{"t":1,"num":6,"name":"strange"}', '{"t":1,"name":"udp"}', '{"t":1,"name":"strange"}']
    fields = {"protocol": ("num", "name"), "start_time": "t", **ENDS}
    done = run([flow(line) for line in given], "flow_json", fields=fields)
    assert [row["protocol"] for row in done.rows] == [6, 17, None]
    assert [row["attrs"] for row in done.rows] == [None, None, [("name", "strange")]]
    assert done.unread == {"protocol": 1}


def test_a_mapping_that_fits_nothing_is_noticed(run):
    done = run(['{"a":1}', flow('{"t":1}')], "flow_json", fields={"start_time": "t", **ENDS})
    assert done.reasons == {1: "no_addresses"}
    assert (
        done.rejects[0]["detail"]
        == "no source address (s) and no destination address (d): not a flow"
    )
    assert len(done.rows) == 1


def test_a_reject_keeps_its_bytes_and_says_what_is_wrong(run):
    line = '{"t": 1, "src": {"ip": "10.0.0.300"}}'
    fields = {"start_time": "t", "src_addr": "src.ip", "dst_addr": "dst.ip"}
    [reject] = run([line], "flow_json", fields=fields).rejects
    assert reject["raw"] == line.encode()
    assert reject["detail"] == "src.ip: '10.0.0.300' is neither an IPv4 nor an IPv6 address"


def test_names_with_dots_stand_in_quotes():
    assert parse_path('labels."app.name".x') == ("labels", "app.name", "x")
    assert parse_path("a b.c-d") == ("a b", "c-d")
    for text in ("", ".a", "a.", "a..b", '"a"b'):
        with pytest.raises(ValueError, match="is not a path"):
            parse_path(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": {"src_adr": "x"}}, "there is no flow column src_adr; did you mean src_addr?"),
        ({"fields": {}}, "name at least one flow column"),
        ({"fields": {"bytes": "a"}}, "map src_addr and dst_addr"),
        ({"fields": {"attrs": "x"}}, "attrs cannot be mapped"),
        ({"fields": {"src_addr": "a..b"}}, "src_addr: 'a..b' is not a path"),
        ({"fields": {"src_addr": {"path": "a", "unit": "ms"}}}, "only times have a unit"),
        ({"fields": {"src_addr": {"path": "a", "multiply": 2}}}, "only counts can be multiplied"),
        ({"fields": {"src_addr": {"path": "a", "lowr": True}}}, "Extra inputs are not permitted"),
        ({"fields": ENDS, "constants": {"bytes": "1"}}, "bytes is not a text column"),
        ({"fields": ENDS, "constants": {"provder": "x"}}, "did you mean provider?"),
    ],
)
def test_a_wrong_mapping_is_explained(options, words):
    with pytest.raises(ValidationError) as caught:
        FlowJsonDecoderConfig(**options)
    assert words in str(caught.value)


def test_a_projection_reads_what_was_never_seen_before(run, make, collect, payload):
    decoder = make(
        "flow_json", ["rule", "start_time"], fields={"start_time": "t", "rule": "r", **ENDS}
    )
    for lines_, want in (
        ('{"t":1}\n', [None]),
        ('{"t":"2026-03-01T00:00:00Z","r":7}\n', ["7"]),
        ('{"t":1,"r":"x"}\n', ["x"]),
        ('{"t":1.0,"r":{"k":1}}\n', ['{"k":1}']),
        ('{"t":"1","r":true}\n', ["true"]),
    ):
        done = collect(decoder, decoder.blocks(payload("m", flow(lines_).encode())))
        assert [row["rule"] for row in done.rows] == want


SPELLED = ["1", "1.0", "1.50", "1e2", "-0.0", "2E+3", "12345678901234567890", "0.1000"]


@pytest.mark.parametrize("others", [[], ['"text"'], ["true"], ["null"], ["[1.0]"]], ids=str)
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_numbers_in_attrs_keep_their_spelling_whatever_stands_beside_them(run, others, block_bytes):
    values = [*SPELLED, *others]
    data = [flow(f'{{"n":{value},"deep":{{"n":[{value}]}}}}') for value in values]
    limits = Limits(block_bytes=block_bytes)
    done = run(data, "flow_json", limits=limits, fields=ENDS)
    attrs = [dict(row["attrs"]) for row in done.rows]
    assert [row.get("n") for row in attrs[: len(SPELLED)]] == SPELLED
    assert [row["deep"] for row in attrs[: len(SPELLED)]] == [f'{{"n":[{v}]}}' for v in SPELLED]


def test_numbers_of_flow_columns_are_read_whatever_their_spelling(run):
    data = [flow(f'{{"n":{value}}}') for value in ("10", "10.0", "1e1", '"10"')]
    done = run(data, "flow_json", fields={"bytes": "n", **ENDS})
    assert [row["bytes"] for row in done.rows] == [10, 10, 10, 10]


def test_a_number_beyond_all_doubles_is_refused(run):
    done = run(flow('{"n":1e999}'), "flow_json", fields=ENDS)
    assert done.reasons == {1: "bad_json"}
