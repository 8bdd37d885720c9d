"""JSON lines: native code gives what Python gives, or leaves the block to it.

`KTRANS_NATIVE_ROWS=3000000` compares the rows of so many records.
"""

from __future__ import annotations

import json
import os
import random
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_native.accelerator import NativeAccelerator

from ktrans.api import BytesPayload, Context, JsonShape, Limits, RejectError, Split, TruncatedError
from ktrans.decoders.read.json_careful import read_carefully
from ktrans.decoders.read.json_native import NativeParser, compact
from ktrans.decoders.read.raw_columns import Shape
from ktrans.kit.accelerate import accelerated
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples
from tests.fuzz.mutations import VALUES, damaged, json_soup
from tests.fuzz.samples import OPTIONS, samples
from tests.golden.test_golden import INPUTS

NATIVE = NativeAccelerator()
ROWS = int(os.environ.get("KTRANS_NATIVE_ROWS", "0")) or 6000
BLOCK_ROWS = (1, 60, 60, 60) if ROWS < 100_000 else (60, 300, 1000)
BLOCK_BYTES = (4096, *(1 << 22,) * (1 if ROWS < 100_000 else 30))
SOME = 50
"""In so many rounds, each log has blocks that native code reads."""
NARROW = ("start_time", "src_addr", "dst_port", "bytes", "zone", "rtt_us")
CHOICES = (None, None, NARROW, (*NARROW, "attrs"), ("dst_addr", "src_service", "region"))
ENTRY = {
    "insertId": "1a2b",
    "timestamp": "2026-05-04T08:11:51.000314187Z",
    "receiveTimestamp": "2026-05-04T08:11:52Z",
    "logName": "projects/net-01/logs/compute.googleapis.com%2Fvpc_flows",
    "resource": {"type": "gce_subnetwork", "labels": {"location": "us-central1-b", "project_id": "p"}},
    "labels": {"team": "net"},
    "jsonPayload": {
        "connection": {"src_ip": "10.0.0.1", "dest_ip": "::1", "src_port": 5, "dest_port": 443, "protocol": 6},
        "reporter": "SRC",
        "bytes_sent": "126",
        "packets_sent": "3",
        "bytes_dropped": 7,
        "start_time": "2026-05-04T08:11:40.000000000Z",
        "end_time": "2026-05-04T08:11:43Z",
        "rtt_msec": "59",
        "round_trip_time": {"median_msec": 5.63},
        "disposition": "DROPPED",
        "drop_reason": "POLICY",
        "throughput_inclusion": "INCLUDED",
        "src_instance": {"vm_name": "vm-1", "zone": "us-central1-c", "region": "us-central1", "x": {"y": [1]}},
        "dest_instance": {"vm_name": "vm-2", "zone": "europe-west1-b", "project_id": "p"},
        "src_vpc": {"vpc_name": "v", "subnetwork_name": "s"},
        "dest_vpc": {"vpc_name": "w", "subnetwork_name": "t"},
        "src_gke_details": {"pod": {"pod_name": "a", "workload": {"workload_name": "web"}}},
        "dest_gke_details": {"pod": {"pod_workload": {"workload_name": "db"}}},
        "dest_google_service": {"service_name": "storage", "type": "GOOGLE_API"},
        "src_gateway": {"name": "g", "location": "us-east1", "vpc": {"vpc_name": "v"}},
        "src_location": {"asn": 64503, "country": "jpn", "city": "Tōkyō"},
        "internet_routing_details": {"egress_as_paths": [{"as_details": [{"as_number": 1}]}]},
        "load_balancing": {"type": "X"},
    },
}  # fmt: skip
"""A log entry of Google Cloud with members of every kind."""


def records_of(data):
    """Return the records of a sample, one a line or in an array."""
    try:
        whole = json.loads(data)
        whole = whole if isinstance(whole, list) else [whole]
    except ValueError:
        whole = []
        for line in data.splitlines():
            try:
                whole.append(json.loads(line))
            except ValueError:
                continue
    return [record for record in whole if isinstance(record, dict)]


@cache
def templates():
    """Return records by the decoder that reads them."""
    found = {
        kind: [record for data in some if data[:1] in (b"{", b"[") for record in records_of(data)]
        for kind, some in samples().items()
        if kind not in ("auto", "aws_vpc", "azure_nsg", "azure_vnet")
    }
    found["gcp_vpc"] += [ENTRY] * len(found["gcp_vpc"])
    return {kind: records for kind, records in found.items() if records}


@cache
def decoders(kind, columns, block_bytes):
    """Build a decoder that uses native code, and one that does not."""
    catalogue = Catalogue()
    config = catalogue.config("decoder", {"type": kind, **OPTIONS.get(kind, {})})
    made = []
    for by in (NATIVE, None):
        with accelerated(by):
            context = Context(registry=catalogue, limits=Limits(block_bytes=block_bytes))
            made.append(catalogue.build("decoder", config, context))
            made[-1].schema(columns)
    return made


def shown(batch):
    """Return a batch with its texts as they are, whatever their dictionary."""
    return batch and [
        column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]


def compare(kind, data, columns=None, block_bytes=1 << 22):
    """Decode bytes in both ways; everything must be equal. Return the number of records."""
    native, plain = decoders(kind, columns, block_bytes)
    count = 0
    try:
        for block in native.blocks(BytesPayload(Split("k", "mem://object"), data)):
            with accelerated(NATIVE):
                ours = native.decode(block)
            theirs = plain.decode(block)
            ours.batch.validate(full=True)
            assert ours.batch.schema == theirs.batch.schema
            for name, one, other in zip(
                ours.batch.schema.names, shown(ours.batch), shown(theirs.batch), strict=True
            ):
                assert one.equals(other), (kind, name, block.data)
            assert shown(ours.rejects) == shown(theirs.rejects), (kind, block.data)
            for name in ("records", "skipped", "foreign", "unread"):
                assert getattr(ours, name) == getattr(theirs, name), (kind, name, block.data)
            count += ours.records
    except (RejectError, TruncatedError):
        pass
    return count


class Variations:
    """Makes records of a block: like others, with other values of the same types, unless they are to be odd."""

    def __init__(self, chance):
        self.chance = chance
        self.odd = chance.choice((0, 0, 0, 0.001, 0.01))
        self.extra = chance.choice(("extra", "höher", "b.c", "", "labels", "a\\"))
        self.kind = chance.choice(("x", {"k": [1.50, "é"]}, [None], 1, 2.5, True))

    def vary(self, value):
        if isinstance(value, dict):
            return self.members(value)
        deed = self.chance.random()
        if deed < 0.01:
            return None
        if deed < 0.01 + self.odd:
            return self.chance.choice(VALUES)
        if isinstance(value, list):
            return [self.vary(each) for each in value]
        if deed < 0.7 or isinstance(value, bool) or value is None:
            return value
        return self.text(value) if isinstance(value, str) else self.number(value)

    def members(self, value):
        made = {name: self.vary(each) for name, each in value.items()}
        if made and self.chance.random() < 0.03:
            made.pop(self.chance.choice(list(made)))
        if self.chance.random() < 0.02:
            made.setdefault(self.extra, self.kind)
        return made

    def number(self, value):
        if isinstance(value, int):
            return self.chance.choice((value, 0, self.chance.randrange(1 << 16), value + 1))
        return self.chance.choice((value, 1.25, 1e-7, 7.0, self.chance.random() * 1000, 3))

    def text(self, value):
        chance = self.chance
        if value.isdigit():
            rare = ("0", "-", "007", str(chance.randrange(1 << 60)))
            return str(chance.randrange(1 << 16)) if chance.random() < 0.95 else chance.choice(rare)
        if value[4:5] == "-" and value.endswith("Z"):
            rare = (value, "", "2026-05-04 08:11:40Z", value[:-1], "2026-05-04T08:11:40+01:00")
            usual = f"{chance.randrange(1970, 2262)}{value[4:19]}.{chance.randrange(1 << 20)}Z"
            return usual if chance.random() < 0.9998 else chance.choice(rare)
        others = ("", "-", 'é\n"\\/\u2028', "😀" * chance.randrange(9), value + "x", value * 2)
        return chance.choice(others) if chance.random() < 0.1 else value


def written(chance, record):
    """Write a record as JSON in one of several ways."""
    blanks = chance.choice(((",", ":"), (", ", ": "), (" ,\t", " : ")))
    return json.dumps(record, ensure_ascii=chance.random() < 0.3, separators=blanks)


def block_of(chance, kind):
    """Make a block of records that are like one or a few of a log."""
    made = Variations(chance)
    few = chance.choices(templates()[kind], k=chance.choice((1, 1, 2, 5)))
    records = chance.choices(few, k=chance.choice(BLOCK_ROWS))
    lines = [written(chance, made.vary(record)) for record in records]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged(chance, data) if chance.random() < 0.05 else data


def test_decoders_give_the_same_rows(monkeypatch):
    """The rows are equal, and native code has read many of the blocks of each log."""
    read, answers = NativeParser.read, []
    monkeypatch.setattr(
        NativeParser, "read", lambda *given: answers.append(read(*given)) or answers[-1]
    )
    chance = random.Random(os.environ.get("KTRANS_FUZZ_SEED", "7"))
    count = rounds = 0
    accepted = dict.fromkeys(templates(), 0)
    while count < ROWS:
        rounds += 1
        for kind in (*templates(), *["gcp_vpc"] * 4):
            answers.clear()
            data = block_of(chance, kind)
            count += compare(kind, data, chance.choice(CHOICES), chance.choice(BLOCK_BYTES))
            accepted[kind] += sum(found is not None for found in answers[::2])
    assert sum(accepted.values()) > rounds * len(accepted) / 4, accepted
    assert all(accepted.values()) or rounds < SOME, accepted


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_golden_inputs_give_the_same_rows_of_some_columns(path):
    """That all columns are the same is seen by `tests/golden`, which runs with the native code too."""
    options = path.with_suffix(".options.json")
    chosen = json.loads(options.read_text()) if options.exists() else {}
    given_options = OPTIONS.get(path.parent.name)
    OPTIONS[path.parent.name] = chosen
    decoders.cache_clear()
    try:
        compare(path.parent.name, path.read_bytes(), NARROW)
    finally:
        decoders.cache_clear()
        OPTIONS[path.parent.name] = given_options or {}


def test_native_code_reads_the_usual_entries():
    chance = random.Random(1)
    native, _ = decoders("gcp_vpc", None, 1 << 22)
    data = b"\n".join(written(chance, ENTRY).encode() for _ in range(20))
    found = native._reader._accelerated.read(data, 20)
    assert found.columns["timestamp",].type == pa.int64()
    assert found.columns["jsonPayload", "bytes_sent"].type == pa.int64()
    assert ("jsonPayload", "connection", "src_ip") in found.canonical
    assert found.columns["jsonPayload", "src_instance"][0].as_py().startswith('{"vm_name":"vm-1",')
    assert found.columns["jsonPayload", "src_gateway", "vpc", "vpc_name"][0].as_py() == "v"


NAMES = st.sampled_from(["a", "b", "c", "", "é", "a\\", "long name of a member"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
TEXTS = (
    st.sampled_from(["", "x", "2026-05-04T08:11:51Z", "10.0.0.1", "12", "\u20ac\n", "\ud800"])
    | st.text()
)
INTEGERS = st.sampled_from([0, 1, -1, 2**53 - 1, 2**53, 2**63 - 1, 2**63, -(2**63), 10**400])
NUMBERS = INTEGERS | st.floats(allow_nan=False) | st.integers() | st.sampled_from([-0.0, 0.1, 1e22])
ARRAYS = st.recursive(
    NUMBERS | TEXTS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
RECORD = st.dictionaries(NAMES, ARRAYS | st.dictionaries(NAMES, ARRAYS, max_size=3), max_size=4)
TIDY = st.fixed_dictionaries(
    {},
    optional={
        "a": st.integers(0, 9),
        "b": TEXTS,
        "c": st.fixed_dictionaries({}, optional={"a": NUMBERS}),
    },
)


@st.composite
def shapes(draw):
    """Make shapes; paths may lie anywhere, within each other too."""
    some = st.frozensets(PATHS, max_size=4)
    paths = draw(st.none() | some)
    return Shape(
        draw(some), None if paths is None else dict.fromkeys(paths, pa.string()), draw(some)
    )


def as_columns(read):
    """Return what was read by native code as the careful reader has it."""
    columns = {}
    for path, column in read.columns.items():
        found = compact(column) if path in read.nested else column
        texts = pa.types.is_dictionary(column.type)
        columns[path] = found.cast(pa.string()) if texts else found
    return columns


def read_both_ways(data, shape):
    """Read lines in both ways; they must agree if native code reads them. Return whether it does."""
    paths = None if shape.paths is None else frozenset(shape.paths)
    read = NATIVE.json(JsonShape(shape.parents, paths, shape.numbers))
    found = read(data, data.count(b"\n") + (not data.endswith(b"\n")))
    if found is None:
        return False
    expected = read_carefully(data, shape)
    assert expected.faults.lines == []
    columns = as_columns(found)
    assert list(columns) == list(expected.columns)
    for path, column in columns.items():
        column.validate(full=True)
        assert column.type == expected.columns[path].type
        assert repr(column.to_pylist()) == repr(expected.columns[path].to_pylist())
    return True


@settings(max_examples=max(examples(300), ROWS // 100))
@given(st.lists(RECORD | TIDY, min_size=1, max_size=5), shapes(), st.randoms(use_true_random=False))
def test_reader_agrees_with_the_careful_one(records, shape, chance):
    lines = [written(chance, record) for record in records]
    read_both_ways("\n".join(lines).encode("utf-8", "surrogatepass"), shape)


@settings(max_examples=max(examples(100), ROWS // 200))
@given(st.lists(TIDY, min_size=1, max_size=5), shapes(), st.randoms(use_true_random=False))
def test_reader_agrees_with_the_careful_one_on_damaged_bytes(records, shape, chance):
    lines = "\n".join(written(chance, record) for record in records)
    data = bytearray(lines.encode("utf-8", "surrogatepass"))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        data[at : at + chance.choice((0, 1, 2))] = chance.choice(
            (b'"', b"\\", b"0", b"}", b" ", b"\xff", b"")
        )
        data = data or bytearray(b"{}")
    read_both_ways(bytes(data), shape)
    read_both_ways(json_soup(chance) or b"{}", shape)


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b" {}",
            b"{} ",
            b"{}{}",
            b"[]",
            b"null",
            b"\xef\xbb\xbf{}",
            b"{}\r",
            b'{"a":1',
            b'{"a":\xff}',
        ),
        *(
            b'{"a":"\xff"}',
            b'{"a":1,"a":1}',
            b'{"b":{"a":1,"a":1}}',
            b'{"\\u0061":1}',
            b'{"b":1}',
            b'{"b":[]}',
        ),
        *(
            b'{"a":NaN}',
            b'{"a":1e999}',
            b'{"a":9223372036854775808}',
            b'{"a":-0}',
            b'{"a":01}',
            b'{"a":"\t"}',
        ),
        *(
            b'{"a":"\\ud800"}',
            b'{"a":"\\u0000"}',
            b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
            b'{"a":1,}',
        ),
    ],
)
def test_lines_that_are_left_to_python(line):
    read = NATIVE.json(JsonShape(parents=frozenset({("b",)})))
    good = b'{"a":1}\n'
    assert read(good, 1) is not None
    assert read(line + b"\n", 1) is None
    assert read(good + line + b"\n" + good, 3) is None


def test_times_addresses_and_digits():
    shape = JsonShape(
        times=frozenset({("t",)}),
        addresses=frozenset({("x",), ("y",)}),
        digits=frozenset({("d",), ("e",)}),
    )
    data = (
        b'{"t":"1970-01-01T00:00:01.5Z","x":"::1","y":"10.0.0.01","d":"12","e":"7"}\n'
        b'{"t":null,"x":"10.0.0.1","y":"::","d":null,"e":"007"}'
    )
    found = NATIVE.json(shape)(data, 2)
    assert found.columns["t",].to_pylist() == [1_500_000_000, None]
    assert found.canonical == {("x",)}
    assert found.columns["d",].to_pylist() == [12, None]
    assert found.columns["e",].to_pylist() == ["7", "007"]
    assert NATIVE.json(shape)(b'{"t":"1970-01-01 00:00:01Z"}', 1) is None


def test_values_within_objects_that_are_kept_as_text():
    shape = JsonShape(
        parents=frozenset({("p",)}), within=frozenset({("p", "k", "a"), ("p", "k", "in", "b")})
    )
    data = b'{"p":{"k":{"a":"x", "in":{"b":1}},"c":2}}\n{"p":{"k":{"other":{"b":[2]}}}}\n{"p":{"k":null}}'
    found = NATIVE.json(shape)(data, 3)
    columns = {path: column.to_pylist() for path, column in found.columns.items()}
    assert columns == {
        ("p", "k"): ['{"a":"x", "in":{"b":1}}', '{"other":{"b":[2]}}', None],
        ("p", "k", "a"): ["x", None, None],
        ("p", "k", "in", "b"): [1, None, None],
        ("p", "c"): [2, None, None],
    }
    assert found.nested == {("p", "k")}


def test_entries_with_times_soon_after_1970_are_the_same():
    times = {"start_time": "1970-01-01T00:00:01Z", "end_time": "1969-12-31T23:59:59Z"}
    early = {**ENTRY, "jsonPayload": {**ENTRY["jsonPayload"], **times}}
    assert compare("gcp_vpc", json.dumps(early).encode()) == 1


def test_names_that_never_repeat_do_not_fill_the_memory():
    data = b"\n".join(b'{"%d":%d}' % (number, number) for number in range(20_000))
    assert NATIVE.json(JsonShape())(data, 20_000) is None
    few = b"\n".join(b'{"%d":%d}' % (number, number) for number in range(20))
    assert len(NATIVE.json(JsonShape())(few, 20).columns) == 20
