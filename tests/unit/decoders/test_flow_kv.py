"""Key=value lines by a mapping: quotes, prefixes, words without a key, bad lines, any block size."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ktrans.api import BytesPayload, Limits, RejectError, Split, TruncatedError
from ktrans.decoders.logs.flow_kv import FlowKvDecoder, FlowKvDecoderConfig
from ktrans.decoders.read.key_value import KeyValueLayout, KeyValueParser
from tests.examples import examples

FIELDS = {"src_addr": "SRC", "dst_addr": "DST", "bytes": "LEN", "dst_port": "DPT"}
GOOD = "SRC=10.0.0.1 DST=10.0.0.2 LEN=60 DPT=22"


def pairs(text, **layout):
    """Read lines, and give each as a mapping without nulls."""
    raw, skipped = KeyValueParser(KeyValueLayout(**layout), None).read(text.encode())
    rows = [{} for _ in range(raw.rows)]
    for path, column in raw.columns.items():
        assert len(column) == raw.rows
        for row, value in zip(rows, column.to_pylist(), strict=True):
            if value is not None:
                row[path[0]] = value
    return rows, dict(zip(raw.faults.lines, raw.faults.reasons, strict=True)), skipped


@pytest.mark.parametrize(
    ("line", "layout", "want"),
    [
        ("a=1 b=2", {}, {"a": "1", "b": "2"}),
        ("  a=1\t\tb=2  ", {}, {"a": "1", "b": "2"}),
        ("a=1 b=2\r", {}, {"a": "1", "b": "2"}),
        ('a="x y" b="" c="z"', {}, {"a": "x y", "c": "z"}),
        ('a="say \\"a=b\\"" b=2', {}, {"a": 'say "a=b"', "b": "2"}),
        ('a="x\\\\" b=2', {}, {"a": "x\\\\", "b": "2"}),
        ("a=x=y b=", {}, {"a": "x=y"}),
        ("a=- b=N/A", {"nulls": ("-", "N/A")}, {}),
        ("a='x y' b=2", {"quote": "'"}, {"a": "x y", "b": "2"}),
        ('a="x y"', {"quote": None}, {"a": '"x', "_words": 'y"'}),
        ("a=1; b = 2 ;c=x y", {"delimiter": ";"}, {"a": "1", "b": "2", "c": "x y"}),
        ("a:1 b:2", {"separator": ":"}, {"a": "1", "b": "2"}),
        ("a=1 a=2", {}, {"a": "1"}),
        ("ä=ö b=2", {}, {"ä": "ö", "b": "2"}),
        ("Nov 20 host: [x] a=1 SYN b=2 ACK", {}, {
            "_prefix": "Nov 20 host: [x]", "a": "1", "b": "2", "_words": "SYN ACK"}),
    ],
)  # fmt: skip
def test_a_line(line, layout, want):
    others = "z=0\n{}\nz=9".replace("=", layout.get("separator", "="))
    rows, faults, _ = pairs(others.format(line), **layout)
    assert rows[1] == want
    assert (len(rows), faults) == (3, {})


def test_lines_that_are_no_pairs_are_refused_or_skipped():
    text = 'a=1\n\nno pair at all\na="open b=2\n# comment a=1\n   \nb=2'
    rows, faults, skipped = pairs(text, comments=("#",))
    assert rows == [{"a": "1"}, {"b": "2"}]
    assert faults == {2: "bad_record", 3: "bad_record"}
    assert skipped == 3


def test_a_line_that_is_not_utf8_is_refused_alone(run):
    done = run(f"{GOOD}\n".encode() + b"SRC=\xff DST=1\n" + GOOD.encode(), "flow_kv", fields=FIELDS)
    assert done.reasons == {2: "bad_record"}
    assert done.positions == [1, 3]


def test_rows_and_the_rest(run):
    done = run([GOOD, GOOD + " X=1 URGENT"], "flow_kv", fields=FIELDS)
    assert [(row["src_addr"], row["bytes"], row["dst_port"]) for row in done.rows] == [
        ("10.0.0.1", 60, 22)
    ] * 2
    assert [row["attrs"] for row in done.rows] == [None, [("X", "1"), ("_words", "URGENT")]]
    [row, _] = run([GOOD] * 2, "flow_kv", columns=["bytes"], fields=FIELDS).rows
    assert row["bytes"] == 60


def test_lines_at_the_top_are_skipped_but_no_rejects(run, make, collect, payload):
    bad = GOOD.replace("10.0.0.1", "nowhere")
    done = run(["Log file", "made today", bad, GOOD], "flow_kv", fields=FIELDS, skip_lines=2)
    assert (done.skipped, done.positions, done.reasons) == (2, [4], {3: "bad_address"})
    decoder = make("flow_kv", fields=FIELDS, skip_lines=2)
    [reject] = done.rejects
    again = collect(decoder, decoder.replay(payload("r", reject["raw"]), reject["layout"]))
    assert again.reasons == {1: "bad_address"}


def test_small_blocks_give_the_same_rows(run):
    lines = [
        f'SRC=10.0.0.{i % 256} DST=10.0.0.1 LEN={i} m="a b{i % 3}" W{i % 5}' for i in range(300)
    ]
    lines[100::50] = [f'{line} x="' for line in lines[100::50]]
    whole = run(lines, "flow_kv", fields=FIELDS)
    cut = run(lines, "flow_kv", fields=FIELDS, limits=Limits(block_bytes=1024))
    assert len(cut.batches) > 5
    assert cut.rows == whole.rows
    assert cut.rejects == whole.rejects
    assert len(whole.rejects) == 4


WORDS = st.text(st.sampled_from('ab1.="ö'), min_size=1, max_size=4)
KEYS = st.text(st.sampled_from("abc"), min_size=1, max_size=2)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.dictionaries(KEYS, st.text(st.sampled_from("x1 .=ö;"), min_size=1), min_size=1),
        min_size=1,
        max_size=5,
    )
)
def test_what_was_written_is_read(rows):
    text = "\n".join(" ".join(f'{k}="{v}"' for k, v in row.items()) for row in rows)
    assert pairs(text, nulls=())[0] == rows


@settings(max_examples=examples(60), deadline=None)
@given(data=st.text(st.sampled_from('ab= "\\#\n\r\t;ö'), max_size=60).map(str.encode) | st.binary())
@example(data=b"#\x80")
def test_whatever_the_text_every_line_is_a_row_a_reject_or_skipped(data):
    config = FlowKvDecoderConfig(fields={"src_addr": "a"}, comments=("#",))
    decoder = FlowKvDecoder(config)
    decoder.schema(None)
    try:
        for block in decoder.blocks(BytesPayload(Split("m", "m"), data)):
            done = decoder.decode(block)
            rejected = 0 if done.rejects is None else done.rejects.num_rows
            assert done.records == done.batch.num_rows + rejected + done.skipped
    except (RejectError, TruncatedError):
        pass
