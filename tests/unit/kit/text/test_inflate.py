"""Inflating streams by their first bytes."""

import bz2
import gzip
import io
import sys

import pyarrow as pa
import pytest

from ktrans.api import Limits, RejectError
from ktrans.kit.text.inflate import Inflater, codec_of, inflate_head

TEXT = b"".join(b"line %d\n" % number for number in range(200_000))


def zstd(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


PACKERS = {"gzip": gzip.compress, "bz2": bz2.compress, "zstd": zstd, "plain": bytes}


def inflated(data, limits=None):
    inflater = Inflater(lambda: io.BytesIO(data), limits)
    return b"".join(inflater.chunks()), inflater


@pytest.mark.parametrize("codec", PACKERS)
def test_one_or_several_members_give_all_bytes(codec):
    pack = PACKERS[codec]
    assert codec_of(pack(TEXT)) == codec
    for data in (pack(TEXT), pack(TEXT[:1000]) + pack(TEXT[1000:]) + pack(b"")):
        out, inflater = inflated(data)
        assert out == TEXT
        assert inflater.codec == codec
        assert inflater.problem is None


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_stream_gives_all_that_is_there_and_says_so(codec, keep):
    packed = PACKERS[codec](TEXT)
    out, inflater = inflated(packed[: int(len(packed) * keep)])
    assert TEXT.startswith(out)
    assert len(out) > len(TEXT) * (keep - 0.25)
    assert inflater.problem.reason == "truncated"


def test_what_came_before_a_second_torn_zstd_frame_is_complete():
    out, inflater = inflated(zstd(TEXT) + zstd(TEXT)[:50])
    assert out[: len(TEXT)] == TEXT
    assert inflater.problem.reason == "truncated"


def test_a_wrong_checksum_is_damage():
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    assert inflated(bytes(packed))[1].problem.reason == "corrupt_stream"


def test_more_than_the_ratio_allows_is_refused():
    packed = gzip.compress(bytes(80 << 20))
    with pytest.raises(RejectError) as caught:
        inflated(packed, Limits(max_inflate_ratio=10))
    assert caught.value.code == "inflate_ratio"
    assert len(inflated(packed, Limits(max_inflate_ratio=5000))[0]) == 80 << 20


def test_small_reads_of_the_raw_stream_change_nothing():
    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7) if size > 0 else size)

    packed = gzip.compress(TEXT[:5000]) * 2
    assert b"".join(Inflater(lambda: Slow(packed)).chunks()) == TEXT[:5000] * 2


def test_the_standard_library_does_where_isal_is_missing(monkeypatch):
    for name in ("isal", "isal.isal_zlib", "isal.igzip_lib"):
        monkeypatch.setitem(sys.modules, name, None)
    packed = gzip.compress(TEXT)
    assert inflated(packed)[0] == TEXT
    assert inflated(packed[:-20])[1].problem.reason == "truncated"
    packed = bytearray(packed)
    packed[-8] ^= 1
    assert inflated(bytes(packed))[1].problem.reason == "corrupt_stream"


@pytest.mark.parametrize("codec", PACKERS)
def test_the_head_of_a_cut_object_is_what_can_be_had(codec):
    head = inflate_head(PACKERS[codec](TEXT)[:40_000], 1000)
    assert TEXT.startswith(head)
    assert len(head) == 1000 or codec == "bz2"
    assert inflate_head(b"", 10) == b""
