"""Hostile bytes: nothing is raised, memory stays a multiple of the block, and no block takes long.

`KTRANS_FUZZ_SECONDS=3600` makes it go on for an hour. Each part runs in a process of its own, so that a
crash is seen as one, and the memory is that of the native code.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from ktrans_native.accelerator import NativeAccelerator

from ktrans.api import Coded, JsonShape, LineShape, Numbers, Plain

SECONDS = float(os.environ.get("KTRANS_FUZZ_SECONDS", "0")) or 3.0
BLOCK = 1 << 20
TIMES = 60
"""How many times the size of its block reading one may take of memory."""
SECONDS_A_BLOCK = 2.0
"""CPU time; a block of 1 MiB in order takes some milliseconds, so this shows what is not linear."""

LINE = (
    b"2 123456789012 eni-01 10.0.0.1 2001:db8::1 443 49152 6 10 840 1790000000 1790000060 ACCEPT OK"
)
KINDS = ("text",) * 5 + ("uint16", "uint16", "uint8", "uint64", "uint64") + ("skip",) * 2
LINES = LineShape((*KINDS, "text", "text"), addresses=frozenset({3, 4}))
RECORD = (
    b'{"insertId":"a1","jsonPayload":{"connection":{"src_ip":"10.0.0.1","dest_port":443,"on":true},'
    b'"bytes_sent":"840","rtt":1.5,"none":null,"list":[1,{"a":"\\u00e9\\ud83d\\ude00"}]},'
    b'"timestamp":"2026-11-29T10:00:00.123456789Z"}'
)
PATH = ("jsonPayload", "connection")
JSON = JsonShape(
    parents=frozenset({("jsonPayload",), PATH}),
    numbers=frozenset({("jsonPayload", "rtt")}),
    times=frozenset({("timestamp",)}),
    addresses=frozenset({(*PATH, "src_ip")}),
)
PIECES = (
    *(b" ", b"\n", b"-", b"\0", b"\r", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":"),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\\u", b"\\ud800"),
    *(b"99999999999999999999", b"18446744073709551616", b"-0", b"1e999", b"0x1", b"00", b"+1"),
    *(b"null", b"true", b"::ffff:1.2.3.4", b"1.2.3.4.5", b"2026-02-30T25:61:61Z", b"9999-12-31T"),
)


def mutated(chance: random.Random, sample: bytes) -> bytes:
    """Return lines of a sample with a few places replaced, removed or repeated."""
    data = bytearray(b"\n".join([sample] * chance.randint(1, 30)) + b"\n")
    for _ in range(chance.randint(1, 6)):
        at, size = chance.randrange(len(data)), chance.choice((0, 1, 1, 2, 8, 40))
        data[at : at + size] = chance.choice(
            (chance.choice(PIECES), chance.randbytes(3), data[at : at + 2 * size], b"")
        )
    return bytes(data)


def large(sample: bytes) -> Iterator[bytes]:
    """Yield blocks of 1 MiB, each extreme in one way."""
    chance = random.Random(1)
    yield chance.randbytes(BLOCK)
    yield b"\n" * BLOCK
    yield b" " * BLOCK
    yield b"a" * BLOCK
    yield b"a b\n" * (BLOCK // 4)
    yield sample * (BLOCK // len(sample))
    yield (sample + b"\n") * (BLOCK // len(sample))
    yield b"[" * BLOCK
    yield b'{"a":' * (BLOCK // 5)
    yield b'{"a":' + b"[" * (BLOCK // 2) + b"]" * (BLOCK // 2) + b"}\n"
    yield b'{"' + b"\\" * BLOCK
    yield b'{"a":"' + b"\\n" * (BLOCK // 2) + b'"}\n'
    yield b'{"a":' + b"9" * BLOCK + b"}\n"
    yield b"{" + b",".join(b'"%d":0' % n for n in range(BLOCK // 10)) + b"}\n"
    yield b"\n".join(b'{"%d":0}' % n for n in range(BLOCK // 12)) + b"\n"
    yield b"\n".join(b'{"a":"%d"}' % n for n in range(BLOCK // 14)) + b"\n"
    for place in (b"eni-01", b"10.0.0.1", b"ACCEPT", b"a1"):
        lines = (sample.replace(place, b"%016x" % n) for n in range(BLOCK // len(sample)))
        yield b"\n".join(lines) + b"\n"


def lines_of(read: Callable[[bytes, int], object], block: bytes) -> None:
    """Read a block with its number of lines, and with wrong ones."""
    lines = block.count(b"\n")
    for number in (lines, lines + 1, 0):
        read(block, number)


def reads(kind: str) -> None:
    """Read hostile blocks for a while; see that nothing is raised, and measure."""
    native = NativeAccelerator()
    read, sample = (native.lines(LINES), LINE) if kind == "lines" else (native.json(JSON), RECORD)
    assert read(sample + b"\n", 1) is not None, "the sample is in order"
    began, chance = time.monotonic(), random.Random(os.environ.get("KTRANS_FUZZ_SEED", "7"))
    while time.monotonic() - began < SECONDS:
        lines_of(read, mutated(chance, sample))
        lines_of(read, chance.randbytes(chance.randint(0, 400)))
    for block in large(sample):
        before, cpu = peak(), time.process_time()
        lines_of(read, block)
        assert time.process_time() - cpu < 3 * SECONDS_A_BLOCK, block[:80]
        assert peak() - before < TIMES * len(block), block[:80]


def joins() -> None:
    """Join parts of all kinds whose texts and numbers are extreme."""
    native = NativeAccelerator()
    chance = random.Random(7)
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        rows = chance.choice((0, 1, 2, 9, 100))
        texts = pa.array(["", "\0", "é\U0001f600", "a" * 5000, '"', None] * (rows + 1), pa.string())
        values = pa.array(["", "\0\n", "x" * 3000])
        at = chance.randint(0, 5)
        codes = np.array([chance.randrange(3) for _ in range(rows)], np.int32)
        least, most = -(2**63), 2**63 - 1
        integers = pa.array([least, most, None, 0, -1, 7] * (rows + 1), pa.int64())
        times = pa.array([0, None, 253402300799999999, 1] * (rows + 2), pa.timestamp("us", "UTC"))
        parts = [
            Plain(texts.slice(at, rows)),
            Coded(codes, values),
            Numbers(integers.slice(at, rows), before="<", after=">", absent="-"),
            Numbers(times.slice(at, rows)),
            "é,",
        ]
        chance.shuffle(parts)
        joined = native.join(parts, rows)
        joined.validate(full=True)
        assert (len(joined), joined.null_count) == (rows, 0)
    texts = pa.array([f"{n}" * 8 for n in range(BLOCK // 40)])
    size, before, cpu = texts.nbytes, peak(), time.process_time()
    assert len(native.join([Plain(texts), ",", Plain(texts)], len(texts))) == len(texts)
    assert time.process_time() - cpu < SECONDS_A_BLOCK
    assert peak() - before < TIMES * size


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


@pytest.mark.parametrize("part", ["lines", "json", "join"])
def test_hostile_bytes_raise_nothing_and_take_little(part):
    words = [sys.executable, "-X", "faulthandler", str(Path(__file__)), part]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS + 300, check=False)
    assert done.returncode == 0, done.stderr
    assert "panicked" not in done.stderr
    assert "Python did the work" not in done.stderr


if __name__ == "__main__":
    joins() if sys.argv[1] == "join" else reads(sys.argv[1])
