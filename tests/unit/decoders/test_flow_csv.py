"""Delimited text by a mapping: layouts, quotes, blanks, bad lines, and what the config explains."""

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.api import BytesPayload, Limits, RejectError, Split, TruncatedError
from ktrans.decoders.logs.flow_csv import FlowCsvDecoder, FlowCsvDecoderConfig
from ktrans.decoders.read.csv import CsvParser, Dialect
from tests.examples import examples

FIELDS = {
    "start_time": "ts",
    "src_addr": "src",
    "dst_addr": "dst",
    "dst_port": "port",
    "bytes": "n",
}
HEAD = "ts,src,dst,port,n,more"
GOOD = "1772359200,10.0.0.1,10.0.0.2,443,100,x"


def test_columns_go_by_name_whatever_their_order(run):
    done = run(
        ["n,more,src,ts,port,dst", "5,a,10.0.0.1,1772359200,80,10.0.0.2"], "flow_csv", fields=FIELDS
    )
    [row] = done.rows
    assert (row["bytes"], row["src_addr"], row["dst_port"]) == (5, "10.0.0.1", 80)
    assert row["attrs"] == [("more", "a")]
    assert row["source_pos"] == 2
    assert done.skipped == 1


@pytest.fixture
def headless(collect, payload):
    """Decode a text whose columns the config names."""

    def go(text, **options):
        config = FlowCsvDecoderConfig(fields=FIELDS, columns=tuple(HEAD.split(",")), **options)
        decoder = FlowCsvDecoder(config)
        decoder.schema(None)
        return collect(decoder, decoder.blocks(payload("mem://o", text.encode())))

    return go


def test_without_a_header_the_columns_are_named(headless):
    assert headless(f"{GOOD}\n").positions == [1]
    assert headless(f"a,b,c,d,e,f\n{GOOD}\n", header=True).positions == [2]


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("1772359200\t10.0.0.1\t10.0.0.2\t443\t100\tx", {"delimiter": "\t"}),
        ("1772359200;10.0.0.1;10.0.0.2;443;100;x", {"delimiter": ";"}),
        (" 1772359200   10.0.0.1\t10.0.0.2 443 100 x  ", {"delimiter": " "}),
        ('"1772359200","10.0.0.1","10.0.0.2","443","100","x"', {}),
        ("1772359200,'10.0.0.1','10.0.0.2','443',100,x", {"quote": "'"}),
        (GOOD + "\r", {}),
    ],
)
def test_9_other_ways_to_write_the_same(headless, line, options):
    [row] = headless(f"{line}\n", **options).rows
    assert (row["src_addr"], row["dst_port"], row["bytes"]) == ("10.0.0.1", 443, 100)
    assert row["attrs"] == [("more", "x")]


def test_null_values_are_null(run):
    lines = [HEAD, "1772359200,10.0.0.1,10.0.0.2,,N/A,-"]
    [row] = run(lines, "flow_csv", fields=FIELDS, null_values=("", "-", "N/A")).rows
    assert row["dst_port"] is row["bytes"] is row["attrs"] is None


def test_11_bad_lines_are_found_and_good_ones_kept(run):
    lines = [
        HEAD,
        GOOD,
        "1772359200,10.0.0.1,10.0.0.2,443",
        GOOD + ",more",
        "",
        HEAD,
        '1772359200,10.0.0.1,10.0.0.2,443,100,"open',
        "1772359200,10.0.0.300,10.0.0.2,443,100,x",
        "1772359200,10.0.0.1,10.0.0.2,0x1BB,100,x",
        "soon,10.0.0.1,10.0.0.2,443,100,x",
        "1772359200,10.0.0.1,10.0.0.2,443,-7,x",
    ]
    done = run(lines, "flow_csv", fields=FIELDS)
    assert done.reasons == {
        3: "too_few_fields",
        4: "too_many_fields",
        7: "bad_record",
        8: "bad_address",
        10: "bad_timestamp",
    }
    assert done.positions == [2, 9, 11]
    assert done.rows[1]["dst_port"] is done.rows[2]["bytes"] is None
    assert dict(done.rows[1]["attrs"]) == {"more": "x", "port": "0x1BB"}
    assert done.unread == {"dst_port": 1}
    assert done.skipped == 3
    assert done.rejects[0]["raw"] == b"1772359200,10.0.0.1,10.0.0.2,443"


def test_64_a_line_that_is_not_utf8_is_refused_alone(run):
    data = f"{HEAD}\n{GOOD}\n".encode() + GOOD.encode().replace(b"x", b"\xff") + b"\n"
    done = run(data, "flow_csv", fields=FIELDS)
    assert done.reasons == {3: "bad_record"}
    assert len(done.rows) == 1


def test_rejects_can_be_read_again_by_their_layout(run, make, collect, payload):
    done = run([HEAD, "1772359200,10.0.0.300,10.0.0.2,443,100,x"], "flow_csv", fields=FIELDS)
    [reject] = done.rejects
    decoder = make("flow_csv", fields=FIELDS)
    fixed = reject["raw"].replace(b"300", b"3")
    again = collect(decoder, decoder.replay(payload("r", fixed), reject["layout"]))
    assert again.rows[0]["src_addr"] == "10.0.0.3"


def test_the_later_part_of_an_object_has_the_header_of_its_start(run):
    done = run(f"{GOOD}\n", "flow_csv", fields=FIELDS, head=f"{HEAD}\n".encode(), first_line=7)
    assert done.positions == [7]


def test_a_torn_stream_keeps_its_whole_lines(run):
    lines = [
        f"177235{i},10.0.{i % 200}.{i % 7},10.0.0.2,{i},{i * 31},n{i * 977}"
        for i in range(2000, 4000)
    ]
    torn = gzip.compress("\n".join([HEAD, *lines]).encode())[:-100]
    with pytest.raises(TruncatedError):
        run(torn, "flow_csv", fields=FIELDS, final=False)
    done = run(torn, "flow_csv", fields=FIELDS)
    assert len(done.rows) > 1000
    assert list(done.reasons.values()) == ["truncated"]


@pytest.mark.parametrize("bad", [False, True])
def test_small_blocks_give_the_same_rows(run, bad):
    lines = [HEAD] + [
        f"{1772359200 + i},10.0.0.{i % 256},10.0.0.2,{i},{i},m{i % 3}" for i in range(600)
    ]
    if bad:
        lines[100::50] = [f"{line},1" for line in lines[100::50]]
    whole = run(lines, "flow_csv", fields=FIELDS)
    cut = run(lines, "flow_csv", fields=FIELDS, limits=Limits(block_bytes=1024))
    assert len(cut.batches) > 5
    assert cut.rows == whole.rows
    assert cut.rejects == whole.rejects
    some = run(lines, "flow_csv", columns=["bytes"], fields=FIELDS)
    assert [r["bytes"] for r in some.rows] == [r["bytes"] for r in whole.rows]


CELLS = st.text(st.sampled_from('a1,"- x\t'), max_size=5)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6))
def test_both_ways_of_reading_give_the_same_values(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    data = out.getvalue().encode()
    parser = CsvParser(Dialect(",", '"', ("", "-")), ("c0", "c1", "c2"), None, frozenset())
    quick, _ = parser.read(data, len(rows))
    exact, _ = parser._carefully(data)
    want = {p: c.to_pylist() for p, c in exact.columns.items()}
    assert {p: c.to_pylist() for p, c in quick.columns.items()} == want


@settings(max_examples=examples(30), deadline=None)
@given(data=st.binary(max_size=200))
def test_garbage_is_counted_and_refused(data):
    decoder = FlowCsvDecoder(FlowCsvDecoderConfig(fields=FIELDS))
    decoder.schema(None)
    try:
        for block in decoder.blocks(BytesPayload(Split("m", "m"), HEAD.encode() + b"\n" + data)):
            done = decoder.decode(block)
            rejected = 0 if done.rejects is None else done.rejects.num_rows
            assert done.records == done.batch.num_rows + rejected + done.skipped
    except (RejectError, TruncatedError):
        pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"header": False}, "name the columns"),
        ({"columns": ("ts", "sorc", "port", "n")}, "src is not one of `columns`"),
        ({"columns": ("ts", "ts", "src")}, "ts is named twice"),
        ({"delimiter": "||"}, "at most 1 character"),
    ],
)
def test_a_wrong_config_is_explained(options, words):
    with pytest.raises(ValidationError) as caught:
        FlowCsvDecoderConfig(fields=FIELDS, **options)
    assert words in str(caught.value)


def test_of_several_columns_the_first_with_a_value_counts(run):
    fields = {"start_time": "ts", "src_addr": ("nat", "src"), "dst_addr": "d"}
    fields["dst_port"] = ("p1", "p2")
    lines = [
        "ts,nat,src,p1,p2,d",
        "1772359200,-,10.0.0.1,,53,::1",
        "1772359200,10.9.9.9,bad,80,bad,::1",
    ]
    done = run(lines, "flow_csv", fields=fields)
    assert [row["src_addr"] for row in done.rows] == ["10.0.0.1", "10.9.9.9"]
    assert [row["dst_port"] for row in done.rows] == [53, 80]


def test_a_first_line_that_names_no_mapped_column_is_no_header(run):
    with pytest.raises(RejectError, match="names none of the columns that are mapped") as caught:
        run([GOOD, GOOD], "flow_csv", fields=FIELDS)
    assert caught.value.code == "no_header"
    assert "columns" in caught.value.hint


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("last", ["", "\r"])
def test_lines_may_end_with_a_carriage_return_alone(run, pack, last):
    data = pack(f"{HEAD}\r{GOOD}\r{GOOD}{last}".encode())
    done = run(data, "flow_csv", fields=FIELDS)
    assert (done.positions, done.skipped, done.rejects) == ([2, 3], 1, [])
    tail = f"{GOOD}\r{GOOD}".encode()
    later = run(tail, "flow_csv", fields=FIELDS, head=f"{HEAD}\r".encode(), first_line=7)
    assert later.positions == [7, 8]


COMMENTED = ["#made by", "#hand", "", HEAD, GOOD, "# between", GOOD, "#end"]


def test_comments_are_skipped_before_the_header_and_among_the_lines(run):
    done = run(COMMENTED, "flow_csv", fields=FIELDS, comments=("#",))
    assert (done.positions, done.skipped, done.rejects) == ([5, 7], 6, [])
    bad = run([*COMMENTED, "too,short", "#"], "flow_csv", fields=FIELDS, comments=("#",))
    assert (bad.positions, bad.reasons) == ([5, 7], {9: "too_few_fields"})
    assert bad.rejects[0]["raw"] == b"too,short"


@pytest.mark.parametrize("block_bytes", [1, 60, 1 << 20])
def test_lines_at_the_top_are_skipped(run, block_bytes):
    limits = Limits(block_bytes=block_bytes)
    lines = ["Report of today", "ts,src,port,n,more", "", HEAD, GOOD]
    done = run(lines, "flow_csv", fields=FIELDS, skip_lines=3, limits=limits)
    assert (done.positions, done.skipped) == ([5], 4)
    head = "\n".join([*lines, ""]).encode()
    later = run(f"{GOOD}\n", "flow_csv", fields=FIELDS, skip_lines=3, head=head, first_line=6)
    assert later.positions == [6]


@pytest.mark.parametrize("end", [",x", ',"a,b"', ',"open'])
def test_lines_may_have_fewer_or_more_values_if_that_is_said(run, end):
    lines = [
        HEAD,
        GOOD,
        "1772359200,10.0.0.1,10.0.0.2",
        f"{GOOD},6th,7th",
        f"1772359200,10.0.0.1,10.0.0.2,443,100{end}",
    ]
    done = run(lines, "flow_csv", fields=FIELDS, ragged=True)
    want = [[("more", "x")], None, [("7", "6th"), ("8", "7th"), ("more", "x")]]
    assert [row["attrs"] for row in done.rows[:3]] == want
    assert [row["dst_port"] for row in done.rows[:3]] == [443, None, 443]
    last = {",x": [("more", "x")], ',"a,b"': [("more", "a,b")]}
    assert [row["attrs"] for row in done.rows[3:]] == ([last[end]] if end in last else [])
    assert list(done.reasons.values()) == ([] if end in last else ["bad_record"])


def test_one_of_several_mappings_of_a_column_is_enough(run):
    start = [{"path": "began", "format": "%d.%m.%Y %H:%M"}, {"path": "ts", "unit": "s"}]
    fields = {"start_time": start, "src_addr": "a", "dst_addr": "b"}
    [row] = run(["ts,a,b", "1767225600,10.0.0.1,10.0.0.2"], decoder="flow_csv", fields=fields).rows
    assert row["start_time"].isoformat() == "2026-01-01T00:00:00+00:00"
