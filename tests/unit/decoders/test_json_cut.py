"""The JSON record cutter: however the records are written, the same ones come out."""

import bz2
import gzip
import itertools
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import BytesPayload, Limits, Split, TruncatedError
from ktrans.decoders.frames.json import cut_json
from tests.examples import examples

SMALL = Limits(block_bytes=64, max_line_bytes=4096)


def payload(data, first_line=1):
    split = Split(key="k", uri="mem://object", size=len(data), data={})
    return BytesPayload(split, data, first_line=first_line)


def cut(data, limits=SMALL, first_line=1, **options):
    """Return (position, record) of every record, and (position, reason, raw) of every reject."""
    records, rejects = [], []
    for block in cut_json(payload(data, first_line), limits, **options):
        lines = block.data.split(b"\n")
        if block.data.endswith(b"\n") or not block.data:
            assert lines.pop() == b""
        assert len(lines) == block.records
        assert all(line.strip(b" \t\r\n") for line in lines)
        records += zip(itertools.count(block.first), lines, strict=False)
        rejects += [(r.position, r.reason, r.raw) for r in block.refused]
    return records, rejects


def good(data, limits=SMALL, **options):
    """Cut, and give the parsed records after checking that they are numbered in their order."""
    records, rejects = cut(data, limits, **options)
    assert rejects == []
    assert [position for position, _ in records] == list(range(1, len(records) + 1))
    return [json.loads(line) for _, line in records]


RECORDS = [{"id": n, "text": '}\n{"\\ü' * n, "deep": {"list": [{"a": [n]}, []]}} for n in range(7)]


def dumps(record, **options):
    return json.dumps(record, **options)


WRITERS = {
    "lines": lambda rs: "".join(dumps(r) + "\n" for r in rs),
    "lines without the last newline": lambda rs: "\n".join(map(dumps, rs)),
    "windows lines": lambda rs: "".join(dumps(r) + "\r\n" for r in rs),
    "blank lines between": lambda rs: "\n\n" + " \n\n".join(map(dumps, rs)) + "\n\n",
    "byte order mark": lambda rs: "\ufeff" + "\n".join(map(dumps, rs)),
    "concatenated": lambda rs: "".join(map(dumps, rs)),
    "concatenated with blanks": lambda rs: "  ".join(map(dumps, rs)),
    "two a line": lambda rs: "\n".join(
        dumps(a) + ("" if b is None else dumps(b))
        for a, b in itertools.zip_longest(rs[::2], rs[1::2])
    ),
    "indented": lambda rs: "\n".join(dumps(r, indent=2) for r in rs),
    "array": dumps,
    "indented array": lambda rs: dumps(rs, indent=4),
    "array of lines": lambda rs: "[\n" + ",\n".join(map(dumps, rs)) + "\n]\n",
    "wrapped": lambda rs: dumps({"n": [1], "records": rs, "more": {"x": ["]}"]}}),
    "wrapped, indented": lambda rs: dumps({"records": rs}, indent=1),
    "wrapped in several documents": lambda rs: "\n".join(dumps({"records": [r]}) for r in rs),
    "arrays one after the other": lambda rs: "\n".join(dumps([r]) for r in rs),
}


@pytest.mark.parametrize("way", WRITERS)
@pytest.mark.parametrize("block_bytes", [1, 50, 1 << 20])
def test_every_way_of_writing_gives_the_same_records(way, block_bytes):
    limits = Limits(block_bytes=block_bytes, max_line_bytes=4096)
    assert good(WRITERS[way](RECORDS).encode(), limits, unwrap=(("records",),)) == RECORDS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=examples(60), deadline=None)
@given(
    records=st.lists(
        st.dictionaries(st.text(max_size=5), JSON, max_size=4), min_size=1, max_size=12
    ),
    way=st.sampled_from(sorted(WRITERS)),
    block_bytes=st.integers(1, 400),
    ascii_only=st.booleans(),
)
def test_any_records_survive_any_way_of_writing_and_any_block_size(
    records, way, block_bytes, ascii_only
):
    records = [{"first": 1, **record} for record in records]
    text = WRITERS[way](records)
    if not ascii_only:
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    limits = Limits(block_bytes=block_bytes, max_line_bytes=1 << 16)
    assert good(text.encode(), limits, unwrap=(("records",),)) == records


@settings(max_examples=examples(60), deadline=None)
@given(data=st.binary(max_size=300) | st.text('{}[]"\\,:\n a1', max_size=200).map(str.encode))
def test_no_bytes_whatever_break_it_and_nothing_but_punctuation_is_lost(data):
    records, rejects = cut(data, unwrap=(("records",),))
    kept = b"".join([line for _, line in records] + [raw for _, _, raw in rejects])
    if not rejects and data[:2] != b"\x1f\x8b" and data[:3] != b"BZh":
        for byte in b"a1":
            assert kept.count(bytes([byte])) == data.count(bytes([byte]))


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lambda d: pa.compress(d, "zstd", asbytes=True)],
    ids=["gzip", "bz2", "zstd"],
)
def test_compression_is_told_by_magic_bytes(pack):
    assert good(pack(WRITERS["lines"](RECORDS).encode())) == RECORDS


def test_lines_are_passed_on_as_they_are():
    data = WRITERS["lines"](RECORDS).encode()
    blocks = list(cut_json(payload(data), Limits()))
    assert [(b.data, b.first, b.records) for b in blocks] == [(data, 1, 7)]


def test_positions_follow_the_first_line_of_a_split():
    records, _ = cut(WRITERS["lines"](RECORDS).encode(), first_line=100)
    assert [position for position, _ in records] == list(range(100, 107))


def test_nothing_gives_nothing():
    for data in (b"", b"\n \n", b"[]", b'{"records":[]}', gzip.compress(b"")):
        assert cut(data, unwrap=(("records",),)) == ([], [])


def test_damaged_lines_do_not_touch_their_neighbours():
    lines = [
        b'{"a":1}',
        b'{"a":2',
        b"what is this",
        b'{"a":"3}',
        b'{"a":4}',
        b'{"a":[5}',
        b'{"a":6}',
    ]
    records, rejects = cut(b"\n".join(lines))
    assert rejects == []
    assert [line for _, line in records] == lines
    assert [position for position, _ in records] == [1, 2, 3, 4, 5, 6, 7]


def test_a_damaged_first_line_is_still_a_line():
    records, _ = cut(b'{"a":1,\n{"a":2}\n{"a":3}\n{"a":4}\n')
    assert [line for _, line in records] == [b'{"a":1,', b'{"a":2}', b'{"a":3}', b'{"a":4}']


def test_a_damaged_element_of_an_array_does_not_take_the_others_with_it():
    text = b'[{"a":1},{"a":"2},{"a":3},{"a":{"b":4},{"a":5}]'
    records, _ = cut(text)
    assert {b'{"a":1}', b'{"a":3}'} <= {line for _, line in records}


def test_indented_documents_among_lines_are_read_too():
    text = b'{"a":1}\n{"a":2}\n{"a":3}\n{\n "a": {\n "b": 4}\n}\n{"a":5}\n'
    assert good(text, Limits(block_bytes=1 << 20)) == [
        {"a": 1}, {"a": 2}, {"a": 3}, {"a": {"b": 4}}, {"a": 5},
    ]  # fmt: skip


def test_what_stands_between_records_is_given_to_the_decoder():
    records, _ = cut(b'[{"a":1}, 17, "x", {"a":2}]')
    assert [line for _, line in records] == [b'{"a":1}', b', 17, "x",', b'{"a":2}']


@pytest.mark.parametrize("way", ["lines", "concatenated", "array", "indented array", "wrapped"])
def test_a_stream_cut_off_keeps_its_complete_records(way):
    data = WRITERS[way](RECORDS).encode()
    torn = gzip.compress(data, mtime=0)[:-40]
    broken = payload(torn)
    broken.final_attempt = False
    with pytest.raises(TruncatedError):
        list(cut_json(broken, SMALL, unwrap=(("records",),)))
    records, rejects = cut(torn, unwrap=(("records",),))
    assert [json.loads(line) for _, line in records] == RECORDS[: len(records)]
    assert records
    assert [(position, reason) for position, reason, _ in rejects] == [
        (len(records) + 1, "truncated")
    ]


def test_a_document_without_its_end_is_torn_even_if_the_stream_is_whole():
    records, rejects = cut(b'[{"a":1},{"a":2},{"a":')
    assert [line for _, line in records] == [b'{"a":1}', b'{"a":2}']
    assert rejects == [(3, "truncated", b'{"a":')]


def test_a_corrupt_stream_says_so():
    data = gzip.compress(WRITERS["lines"](RECORDS).encode()) + b"trailing garbage, not gzip"
    records, rejects = cut(data)
    assert len(records) == 7
    assert [reason for _, reason, _ in rejects] == ["corrupt_stream"]


@pytest.mark.parametrize("way", ["lines", "array", "concatenated", "indented"])
@pytest.mark.parametrize("block_bytes", [10, 5000])
def test_a_record_that_is_too_long_is_refused_and_the_others_are_not(way, block_bytes):
    records = [{"a": 1}, {"a": 2}, {"a": "x" * 9000}, {"a": 3}, {"a": 4}]
    limits = Limits(block_bytes=block_bytes, max_line_bytes=1000)
    found, rejects = cut(WRITERS[way](records).encode(), limits)
    assert [json.loads(line) for _, line in found] == [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]
    assert [position for position, _ in found] == [1, 2, 4, 5]
    assert [(position, reason) for position, reason, _ in rejects] == [(3, "line_too_long")]


def test_memory_stays_bounded_when_nothing_in_a_stream_ever_ends():
    data = b'{"a":"' + b"x" * 3_000_000
    records, rejects = cut(data, Limits(block_bytes=1000, max_line_bytes=1000))
    assert records == []
    assert rejects[0][1] == "line_too_long"
    assert all(len(raw) <= 4096 for _, _, raw in rejects)


def nested(records, **options):
    """Write records into an array deep in a document, between other members."""
    hits = {"n": {"hits": [1]}, "hits": records, "more": [{"hits": [2]}, "]}"]}
    return dumps({"took": 1, "other": {"x": [{"a": "["}]}, "hits": hits, "z": {"q": []}}, **options)


def listed(records, **options):
    """Write records into arrays within arrays of a document."""
    parts = [{"m": 1, "in": [{"x": {"y": 1}, "out": records[:2]}]}, {"in": [{"out": records[2:]}]}]
    return dumps({"top": parts, "in": [{"out": [3]}], "end": 1}, **options)


@pytest.mark.parametrize(
    ("write", "path"), [(nested, ("hits", "hits")), (listed, ("top", "in", "out"))]
)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("longest", [*range(700, 760, 7), 1 << 20])
@pytest.mark.parametrize("times", [1, 3])
def test_records_may_be_anywhere_in_a_document(write, path, indent, longest, times):
    limits = Limits(block_bytes=1, max_line_bytes=longest)
    text = "\n".join([write(RECORDS * 9, indent=indent)] * times)
    assert good(text.encode(), limits, unwrap=(path,)) == RECORDS * 9 * times


def test_arrays_of_the_name_elsewhere_in_a_document_are_no_records():
    text = dumps({"a": {"records": [1]}, "b": [{"records": [2]}], "records": [{"c": 3}]})
    assert good(text.encode(), unwrap=(("records",),)) == [{"c": 3}]
    other = dumps({"a": {"records": [{"c": 3}]}})
    assert good(other.encode(), unwrap=(("records",),)) == [json.loads(other)]
