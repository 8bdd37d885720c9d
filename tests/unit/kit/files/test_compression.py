"""Compressing files as they are written."""

import gzip
import io

import pyarrow as pa
import pytest

from ktrans.kit.files.compression import OutputStream, compressed

TEXT = [b"line %d of a log\n" % i for i in range(5000)]


def written(compression):
    file = io.BytesIO()
    output = OutputStream(file.write)
    stream = compressed(output, compression)
    for line in TEXT:
        stream.write(line)
    stream.close()
    assert output.size == len(file.getvalue())
    return file.getvalue()


def plain(data, compression):
    if compression == "zstd":
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return gzip.decompress(data) if compression == "gzip" else data


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_content_comes_back_and_the_same_content_gives_the_same_bytes(compression):
    data = written(compression)
    assert plain(data, compression) == b"".join(TEXT)
    assert written(compression) == data


def test_a_dropped_stream_writes_nothing_more():
    file = io.BytesIO()
    output = OutputStream(file.write)
    output.write(b"seen")
    output.drop()
    output.write(b"ignored")
    assert file.getvalue() == b"seen"
