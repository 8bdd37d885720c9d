"""Content that is compressed or encoded more than once."""

import base64
import bz2
import gzip
import io
from functools import partial

import pyarrow as pa
import pytest

from ktrans.api import RejectError
from ktrans.kit.text.inflate import Inflater

packed = partial(gzip.compress, mtime=0)  # the same bytes in every process

DATA = b"hello world\n" * 10_000
ZSTD = pa.compress(DATA, "zstd", asbytes=True)


def inflate(stored):
    inflater = Inflater(lambda: io.BytesIO(stored))
    return b"".join(inflater.chunks()), inflater.problem


@pytest.mark.parametrize(
    "stored",
    [
        packed(packed(DATA)),
        bz2.compress(packed(ZSTD)),
        base64.b64encode(packed(DATA)),
        base64.encodebytes(bz2.compress(DATA)),
        b"\n".join(base64.b64encode(packed(part)) for part in (DATA[:12_001], DATA[12_001:])),
        packed(base64.b64encode(ZSTD)),
        DATA.decode().encode("utf-16"),
        packed(b"\xfe\xff" + DATA.decode().encode("utf-16-be")),
        b"\xef\xbb\xbf" + DATA,
        packed(b"\xef\xbb\xbf" + DATA),
    ],
)
def test_the_innermost_content_comes_out_as_utf_8(stored):
    assert inflate(stored) == (DATA, None)


@pytest.mark.parametrize("torn", [packed(packed(DATA))[:-9], packed(packed(DATA)[:-9])])  # fmt: skip
def test_a_layer_that_ends_early_is_reported_whichever_it_is(torn):
    _, problem = inflate(torn)
    assert problem.reason == "truncated"


def test_the_number_of_layers_is_bounded():
    stored = DATA
    for _ in range(5):
        stored = packed(stored)
    out, problem = inflate(stored)
    assert (out, problem.reason) == (b"", "corrupt_stream")


def test_the_limit_on_the_ratio_counts_all_layers():
    bomb = packed(packed(b"\0" * (100 << 20)))
    with pytest.raises(RejectError, match="more than 200 times"):
        inflate(bomb)


@pytest.mark.parametrize("text", [b"H4sI is how gzip begins", b"\xff\xfea"])
def test_what_only_looks_encoded_is_reported(text):
    assert inflate(text)[1].reason == "corrupt_stream"
