"""Objects that are odd as streams: cut off, damaged, endless, growing, empty."""

import bz2
import gzip
import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from ktrans.api import Limits, RejectError, TruncatedError


def zstd(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


PACKERS = {"gzip": gzip.compress, "bz2": bz2.compress, "zstd": zstd}


@pytest.fixture
def lines(v2, record):
    return [v2, *(record(bytes=number, srcport=number % 60000) for number in range(3000))]


def joined(lines):
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize("codec", PACKERS)
def test_trap_01_a_truncated_stream_is_never_silently_short(run, lines, codec):
    packed = PACKERS[codec](joined(lines))
    cut = packed[: len(packed) * 2 // 3]
    with pytest.raises(TruncatedError):
        run(cut, final=False)
    result = run(cut)
    assert list(result.reasons.values()) == ["truncated"]
    got = len(result.rows)
    assert 0 <= got < 3000
    assert [row["bytes"] for row in result.rows] == list(range(got))
    torn = result.rejects[0]
    assert torn["source_pos"] == (got + 2 if got else 1)
    assert joined(lines).splitlines()[torn["source_pos"] - 1].startswith(torn["raw"])


@pytest.mark.parametrize("codec", PACKERS)
def test_several_members_the_last_one_truncated_keep_all_complete_lines(run, lines, codec):
    whole = PACKERS[codec](joined(lines))
    result = run(whole + PACKERS[codec](joined(lines[1:]))[:-40])
    assert [row["bytes"] for row in result.rows][:3000] == list(range(3000))
    assert list(result.reasons.values()) == ["truncated"]


@pytest.mark.parametrize("codec", PACKERS)
def test_a_damaged_stream_ends_with_one_reject(run, lines, codec):
    packed = bytearray(PACKERS[codec](joined(lines)))
    packed[len(packed) // 2 : len(packed) // 2 + 200] = b"\xff" * 200
    result = run(bytes(packed))
    assert result.rejects[-1]["reason"] == "corrupt_stream"


def test_bytes_after_the_last_member_are_not_ignored(run, v2, good):
    packed = gzip.compress(joined([v2, good]))
    result = run(packed + b"garbage")
    assert result.positions == [2]
    assert result.reasons == {3: "corrupt_stream"}
    assert run(packed + b"\0" * 512).rejects == []


def test_a_truncated_stream_that_ends_on_a_newline_still_says_so(run, v2, good):
    packed = gzip.compress(joined([v2, good]))
    result = run(packed[:-8])
    assert result.positions == [2]
    assert [(r["reason"], r["raw"]) for r in result.rejects] == [("truncated", b"")]


def test_a_gzip_bomb_is_refused_within_bounded_memory(make, payload):
    packed = gzip.compress(b"\n" * (256 << 20), 9)
    decoder = make(limits=Limits(max_inflate_ratio=20))
    tracemalloc.start()
    with pytest.raises(RejectError) as caught:
        for _ in decoder.blocks(payload("mem://bomb", packed)):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "inflate_ratio"
    assert peak < 64 << 20


class Endless(io.RawIOBase):
    """A line of many megabytes between two good ones, made as it is read."""

    def __init__(self, before, size, after):
        self.parts = [before, size, after]

    def readable(self):
        return True

    def read(self, size=-1):
        if not self.parts:
            return b""
        part = self.parts[0]
        if isinstance(part, int):
            take = min(part, size)
            self.parts[0] = part - take
            if take == part:
                self.parts.pop(0)
            return b"x" * take
        self.parts[0] = part[size:]
        if not self.parts[0]:
            self.parts.pop(0)
        return part[:size]


def test_case_68_a_line_without_end_is_one_reject_in_bounded_memory(
    make, payload, collect, v2, good
):
    limits = Limits(max_line_bytes=1 << 16, block_bytes=1 << 20)
    size = 200 << 20
    source = payload("mem://o", b"")
    source.open = lambda: Endless(f"{v2}\n{good}\n".encode(), size, f"\n{good}\n".encode())
    decoder = make(limits=limits)
    tracemalloc.start()
    result = collect(decoder, decoder.blocks(source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.positions == [2, 4]
    assert result.reasons == {3: "line_too_long"}
    assert len(result.rejects[0]["raw"]) == 4096
    assert str(size) in result.rejects[0]["detail"]
    assert peak < 16 << 20


@pytest.mark.parametrize("block", [200, 1000, 1 << 20])
def test_long_lines_are_found_whatever_the_blocks(run, v2, good, block):
    limits = Limits(max_line_bytes=300, block_bytes=block)
    fits = good + " " * (300 - len(good))
    long = "y" * 301
    result = run([v2, good, long, fits, long, good, long], limits=limits)
    assert result.positions == [2, 4, 6]
    assert result.reasons == dict.fromkeys((3, 5, 7), "line_too_long")


def test_binary_junk_is_all_rejects(run):
    junk = bytes(range(256)) * 40
    result = run(junk)
    assert result.rows == []
    assert result.records == len(result.rejects) + result.skipped > 0


def test_a_grown_object_takes_its_header_from_the_start(run, record):
    header = "bytes srcaddr dstaddr\n1 10.0.0.1 ::1\n"
    result = run("2 10.0.0.2 ::1\n3 10.0.0.3 ::1\n", head=header.encode(), first_line=3)
    assert [(r["bytes"], r["source_pos"]) for r in result.rows] == [(2, 3), (3, 4)]


def test_a_grown_object_whose_start_is_out_of_reach_needs_a_format(make, payload, collect):
    source = payload("mem://o", b"2 10.0.0.2 ::1\n", head=b"bytes srcaddr dstaddr\n", first_line=2)

    def head(size):
        raise io.UnsupportedOperation

    source.head = head
    decoder = make(format="bytes srcaddr dstaddr")
    assert collect(decoder, decoder.blocks(source)).positions == [2]


def test_rejects_can_be_replayed_by_their_layout(run, make, collect, payload):
    bad = run(["bytes srcaddr dstaddr", "5x 10.0.0.1 ::1", "6 10.0.0.2 ::1"]).rejects[0]
    decoder = make()
    raw = bad["raw"].replace(b"5x", b"5")
    again = collect(decoder, decoder.replay(payload("mem://o", raw), bad["layout"]))
    assert again.rows[0]["bytes"] == 5
    lost = run(["5 10.0.0.1 ::1"]).rejects[0]
    decoder = make(format="bytes srcaddr dstaddr")
    again = collect(decoder, decoder.replay(payload("mem://o", lost["raw"]), lost["layout"]))
    assert again.rows[0]["bytes"] == 5


def test_blocks_decode_alike_in_several_threads(make, payload, v2, record):
    rows = [record(bytes=number) if number % 50 else "torn" for number in range(5000)]
    data = joined([v2, *rows])
    decoder = make(limits=Limits(block_bytes=1 << 14))
    blocks = list(decoder.blocks(payload("mem://o", data)))
    assert len(blocks) > 10
    alone = [decoder.decode(block) for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(decoder.decode, blocks))
    for one, other in zip(alone, together, strict=True):
        assert one.batch.equals(other.batch)
        assert one.rejects.equals(other.rejects)


SHORT = "version srcaddr dstaddr bytes"


@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_nothing_is_read_by_a_header_that_names_a_field_twice(run, v2, good, block_bytes):
    lines = [v2, good, f"{SHORT} bytes", "2 10.0.0.1 10.0.0.2 5 6", "", v2, good]
    result = run(lines, limits=Limits(block_bytes=block_bytes))
    assert result.positions == [2, 7]
    assert result.reasons == {3: "bad_header", 4: "no_layout"}
    assert result.skipped == 3
    assert "bytes twice" in result.rejects[0]["detail"]
    assert result.rejects[1]["raw"] == b"2 10.0.0.1 10.0.0.2 5 6"
    assert result.rejects[1]["layout"] is None


def test_a_damaged_header_at_the_head_holds_for_the_rest_of_the_object(run, good):
    head = f"{SHORT} bytes\n".encode()
    result = run([good], head=head, first_line=2)
    assert result.reasons == {2: "no_layout"}


@pytest.mark.parametrize(
    "names", [SHORT, "pkt-srcaddr version pkt-dstaddr", "dstaddr flow-direction srcaddr"]
)
def test_a_header_glued_to_the_record_before_it_holds_for_what_follows(run, v2, good, names):
    record = {"version": "2", "srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "bytes": "5"}
    record |= {"pkt-srcaddr": "10.0.0.1", "pkt-dstaddr": "10.0.0.2"}
    values = " ".join(record.get(name, "-") for name in names.split())
    data = b"".join(
        gzip.compress(part.encode()) for part in (f"{v2}\n{good}\n{good}", f"{names}\n{values}\n")
    )
    result = run(data)
    assert result.reasons == {3: "bad_header"}
    assert result.positions == [2, 4]
    assert result.rejects[0]["raw"] == f"{good}{names}".encode()
    assert (result.rows[1]["src_addr"], result.rows[1]["dst_addr"]) == ("10.0.0.1", "10.0.0.2")
    assert result.rows[1]["protocol"] is None


def test_values_that_look_like_names_are_no_header(run, v2, good):
    lines = [f"{v2} pkt-src-aws-service", f"{good} my-srcaddr", f"{good} addr", v2, good]
    result = run(lines)
    assert (result.positions, result.rejects) == ([2, 3, 5], [])
