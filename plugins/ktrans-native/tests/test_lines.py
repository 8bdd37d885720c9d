"""Lines of fields are the same rows and rejects with the native reader and without.

`KTRANS_NATIVE_ROWS` is how many random records are compared, a few ten thousand by default.
"""

import ipaddress
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ktrans_native.accelerator import NativeAccelerator

from ktrans.api import BytesPayload, Context, Decoded, Limits, LineShape, RejectError, Split
from ktrans.decoders.aws.fields import TGW_FIELDS, VPC_FIELDS, Field
from ktrans.decoders.aws.layout import Layout
from ktrans.decoders.aws.reader import AwsReader
from ktrans.decoders.frames.block import Block
from ktrans.decoders.read.text_fast import TextPlan
from ktrans.decoders.time_limits import TimeLimits
from ktrans.flow.addresses import canonical_addresses
from ktrans.kit.accelerate import accelerated
from ktrans.kit.text.lines import count_lines
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples
from tests.fuzz.mutations import damaged
from tests.fuzz.samples import samples

ROWS = int(os.environ.get("KTRANS_NATIVE_ROWS", "30000"))
ROWS_OF_CASE = 1000
FIELDS = {"aws_vpc": VPC_FIELDS, "aws_tgw": TGW_FIELDS}
EXAMPLES = Path(__file__).parents[3] / "examples"
NATIVE = NativeAccelerator()
CATALOGUE = Catalogue()
NARROW = ["start_time", "src_addr", "dst_addr", "dst_port", "protocol", "bytes", "action"]
GOOD = {
    "text": ["OK", "ACCEPT", "-", "x", "--", "é", "arn:aws:ecs/" + "b" * 40, "a%20b", "\x7f"],
    "address": [
        *("10.0.0.1", "255.255.255.255", "-", "::1", "2001:db8::1", "fe80::a:0:0:1"),
        *("::ffff:10.0.0.1", "::ffff:1:2", "1:2:3:4:5:6:7:8"),
    ],
    "port": ["0", "-", "443", "65535", "00080"],
    "protocol": ["6", "17", "-", "255", "0"],
    "flags": ["0", "19", "-", "32767"],
    "small": ["2", "-", "10"],
    "count": ["0", "-", "7", "99999999", "123456789", str(2**63 - 1), "0" * 30 + "5"],
    "time": ["1700000000", "1700000000123", "-"],
}
ODD = {
    "text": ["#", "{", "\t", "a\0", "\ufeff", "", "a b", "\r"],
    "address": [
        "2001:DB8::1",
        "2001:db8:0::1",
        "::1.2.3.4",
        "10.0.0.01",
        "256.0.0.1",
        "1::%1",
        "x",
    ],
    "port": ["65536", "-1", "+1", "0x50", "1.0", "8O", "٣", ""],
    "protocol": ["256", "TCP", "999999999999"],
    "flags": ["32768", "65536"],
    "small": ["32768", "v2"],
    "count": [str(2**63), str(2**64 - 1), str(2**64), "1e3", "9" * 40, "1_0", "/", ":"],
    "time": ["1700000000.5", "0", "99999999999999999999"],
}


def decoded(
    data: bytes, kind: str, columns: list[str] | None = None, limits: Limits | None = None
) -> list[Decoded] | str:
    """Return all blocks of an object, decoded; or the error that it ends with."""
    config = CATALOGUE.config("decoder", {"type": kind})
    decoder = CATALOGUE.build("decoder", config, Context(limits=limits or Limits()))
    decoder.schema(columns)
    payload = BytesPayload(Split("k", "mem://object"), data)
    try:
        return [decoder.decode(block) for block in decoder.blocks(payload)]
    except RejectError as error:
        return repr(error)


def assert_same(data: bytes, kind: str, *how) -> None:
    """Check that an object is decoded alike with the native reader and without."""
    with accelerated(NATIVE):
        native = decoded(data, kind, *how)
    with accelerated(None):
        python = decoded(data, kind, *how)
    if isinstance(native, str) or isinstance(python, str):
        assert native == python
        return
    for one, other in zip(native, python, strict=True):
        one.batch.validate(full=True)
        assert one.batch.equals(other.batch, check_metadata=True)
        assert (one.rejects is None) == (other.rejects is None)
        assert one.rejects is None or one.rejects.equals(other.rejects)
        counts = [(d.records, d.skipped, dict(d.foreign), dict(d.unread)) for d in (one, other)]
        assert counts[0] == counts[1]


def case(chance: random.Random, fields: tuple[Field, ...], *, odd: bool) -> bytes:
    """Return a header of some fields in any order, and records of them."""
    named = {field.name: field for field in fields}
    count = chance.choice((3, 8, len(fields)))
    kept = {"srcaddr", "start", *chance.sample(sorted(named), count)}
    names = chance.sample(sorted(kept), len(kept))
    columns = []
    for name in names:
        kind = named[name].kind
        good = [*GOOD.get(kind, GOOD["text"]), *_made(chance, kind)]
        columns.append(chance.choices(good, k=ROWS_OF_CASE))
    if odd:
        place = chance.randrange(len(names))
        value = chance.choice(ODD.get(named[names[place]].kind, ODD["text"]))
        columns[place][chance.randrange(ROWS_OF_CASE)] = value
    lines = [" ".join(names), *map(" ".join, zip(*columns, strict=True))]
    return ("\n".join(lines) + chance.choice(("\n", ""))).encode()


def _made(chance: random.Random, kind: str) -> Iterator[str]:
    for _ in range(chance.choice((1, 300))):
        if kind == "address":
            wide = chance.choice((ipaddress.IPv4Address, ipaddress.IPv6Address))
            yield str(wide(chance.getrandbits(32)))
        elif kind == "text":
            yield "t" * chance.randint(1, 40) + str(chance.getrandbits(chance.randint(1, 60)))
        elif kind in ("count", "port"):
            yield str(chance.getrandbits(chance.randint(1, 63 if kind == "count" else 16)))


@pytest.mark.parametrize("kind", ["aws_vpc", "aws_tgw"])
def test_records_of_any_layout_are_the_same(kind):
    for number in range(max(ROWS // ROWS_OF_CASE // 2, 1)):
        chance = random.Random(f"{kind} {number}")
        data = case(chance, FIELDS[kind], odd=number % 2 == 1)
        assert_same(data, kind, chance.choice((None, NARROW)))


@pytest.mark.parametrize("kind", ["aws_vpc", "aws_tgw"])
def test_blocks_in_order_are_read_natively(kind):
    data = case(random.Random(kind), FIELDS[kind], odd=False)
    header, _, lines = data.partition(b"\n")
    names = header.decode().split()
    known = {field.name: field.kind for field in FIELDS[kind]}
    numbers = {"port": "uint16", "count": "uint64", "time": "uint64", "protocol": "uint8"}
    kinds = tuple(numbers.get(known[name], "text") for name in names)
    found = NATIVE.lines(LineShape(kinds))(lines, ROWS_OF_CASE)
    assert found is not None
    assert [len(column) for column in found.columns] == [ROWS_OF_CASE] * len(names)


@pytest.mark.parametrize("kind", ["aws_vpc", "aws_tgw"])
def test_good_logs_are_the_same(kind):
    for data in samples()[kind]:
        assert_same(data, kind)
        assert_same(data, kind, NARROW)


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*logs/**/*vpcflowlogs*.gz"))[:8], ids=lambda path: path.name
)
def test_examples_are_the_same(path):
    assert_same(path.read_bytes(), "aws_vpc")


@settings(max_examples=examples(150))
@given(st.integers(0, 2**64), st.sampled_from(["aws_vpc", "aws_tgw"]))
def test_damaged_logs_are_the_same(seed, kind):
    chance = random.Random(seed)
    texts = [data for data in samples()[kind] if not data.startswith(b"PAR1")]
    data = damaged(chance, chance.choice(texts))
    limits = chance.choice((Limits(), Limits(block_bytes=700, max_line_bytes=2000)))
    assert_same(data, kind, chance.choice((None, NARROW)), limits)


NAMES = ("srcaddr", "dstaddr", "action", "srcport", "protocol", "bytes")
TOKENS = st.one_of(
    st.sampled_from(
        sorted({each for pool in (GOOD, ODD) for part in pool.values() for each in part})
    ),
    st.integers(0, 2**65).map(str),
    st.text("0123456789abcdefx-.:", min_size=1, max_size=41),
    st.text(max_size=5),
)
BLOCKS = st.one_of(
    st.lists(st.lists(TOKENS, min_size=6, max_size=6).map(" ".join), min_size=1, max_size=5)
    .map("\n".join)
    .map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
)


@settings(max_examples=examples(600))
@given(BLOCKS, st.sampled_from([None, ["src_addr", "bytes"], ["protocol", "dst_addr"]]))
@example(b"+1 +1 +1 +1 0x50 0", ["src_addr", "bytes"])
def test_what_is_accepted_is_what_is_read_otherwise(data, columns):
    """The CSV reader finds the same values, and the careful reader, if it has to look, no fault."""
    decoder = CATALOGUE.build(
        "decoder", CATALOGUE.config("decoder", {"type": "aws_vpc"}), Context()
    )
    layout, schema = Layout(NAMES), decoder.schema(columns)
    block = Block("m", 1, count_lines(data), data, layout=layout)
    with accelerated(NATIVE):
        plan = TextPlan(layout, decoder.dialect, schema, TimeLimits.of(Limits()))
        natively = plan.read_native(block)
        rows = AwsReader(decoder.dialect, None, Context(), schema).rows(block)
    if natively is None:
        return
    assert natively.columns == plan.read(data)
    for path in natively.canonical:
        assert canonical_addresses(natively.columns[path].dictionary)[1] is None
    with accelerated(None):
        python = AwsReader(decoder.dialect, None, Context(), schema).rows(block)
    assert rows.batch.equals(python.batch)
    assert (rows.faults.lines, rows.skipped, rows.unread) == (
        python.faults.lines,
        python.skipped,
        python.unread,
    )


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda found: found.exploded),
    st.ip_addresses(v=6, network="::/96").map(str),
    st.ip_addresses(v=4).map(lambda found: f"::ffff:{found}"),
    st.ip_addresses(v=4).map(lambda found: f"::{found}"),
    st.text("0123456789abcdefA.:%", min_size=1, max_size=45),
    st.lists(st.sampled_from(["0", "1", "00", "ab", "ffff", "", "10.0.0.1"]), max_size=9).map(
        ":".join
    ),
    st.lists(st.sampled_from(["0", "1", "255", "256", "01", ""]), max_size=5).map(".".join),
)


@settings(max_examples=examples(1500))
@given(ADDRESSES.filter(bool))
def test_canonical_addresses_stay_as_they_are(text):
    shape = LineShape(("skip", "text"), frozenset({1}), nulls=())
    found = NATIVE.lines(shape)(f"- {text}".encode(), 1)
    assert found is not None
    canonical, invalid = canonical_addresses(pa.array([text]))
    stays = invalid is None and canonical.to_pylist() == [text]
    assert not found.canonical or stays
    if "." not in text:
        assert bool(found.canonical) == stays
