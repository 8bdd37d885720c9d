"""Azure flow logs as streams: pieces of any size, growing and damaged objects, memory, replay."""

import gzip
import json
import random
import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ktrans_generate.objects import pieces
from ktrans_generate.source import GenerateSourceConfig

from ktrans.api import Limits, RejectError, TruncatedError
from ktrans.api.component import Context
from ktrans.decoders.logs.azure_nsg import LOG as NSG
from ktrans.decoders.logs.azure_vnet import LOG as VNET
from ktrans.decoders.read.azure_exact import read_exactly
from ktrans.decoders.read.azure_lines import tuple_lines
from ktrans.decoders.read.azure_loose import read_loosely
from tests.examples import examples

quick = settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
BUILT = {
    "azure_nsg_v1": (NSG.decoder, NSG.config),
    "azure_nsg_v2": (NSG.decoder, NSG.config),
    "azure_vnet": (VNET.decoder, VNET.config),
}


def generated(log, rows=3000, **options):
    recipe = GenerateSourceConfig(
        log=log, rows=rows, rows_per_object=rows, hosts=40, **options
    ).recipe()
    return b"".join(bytes(piece) for piece in pieces(recipe, 0))


@pytest.fixture
def run(collect, payload):
    """Decode bytes."""

    def go(data, log="azure_vnet", columns=None, uri="mem://o", **options):
        cls, config = BUILT[log]
        limits = Limits(
            **{k: options.pop(k) for k in ("block_bytes", "max_line_bytes") if k in options}
        )
        decoder = cls(config(), Context(limits=limits))
        decoder.schema(columns)
        return collect(decoder, decoder.blocks(payload(uri, data, **options)))

    return go


def tuples_of(document):
    """Return every tuple of a document, by way of a plain JSON reader."""
    found = []

    def walk(node):
        if isinstance(node, dict):
            for name, value in node.items():
                if name == "flowTuples":
                    found.extend(text.split(",") for text in value)
                else:
                    walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(document))
    return found


@pytest.mark.parametrize("log", BUILT)
def test_generated_objects_decode_without_loss(run, log):
    data = generated(log)
    known = tuples_of(data)
    result = run(data, log)
    assert result.rejects == []
    assert result.positions == list(range(1, 3001)) == list(range(1, len(known) + 1))
    table = result.table
    assert table.column("src_addr").to_pylist() == [fields[1] for fields in known]
    if log != "azure_nsg_v1":
        counted = [f for f in known if f[7] != "D" and "B" not in f[7:9]]
        assert pa.compute.sum(table.column("bytes")).as_py() == sum(int(f[10]) for f in counted)
        assert pa.compute.sum(table.column("packets_rev")).as_py() == sum(
            int(f[11]) for f in counted
        )
        assert set(table.column("flow_state").to_pylist()) == {"begin", "continue", "end"} | (
            {"deny"} if log == "azure_vnet" else set()
        )


@pytest.mark.parametrize("log", BUILT)
@pytest.mark.parametrize("block", [200, 3000, 50_000])
def test_rows_do_not_depend_on_where_pieces_end(run, log, block):
    data = generated(log, 1500, bad_ratio=0.03)
    whole, cut = run(data, log), run(data, log, block_bytes=block)
    assert cut.rows == whole.rows
    assert cut.rejects == whole.rejects
    assert whole.rejects


@pytest.mark.parametrize("rate", [0.001, 0.2, 1])
@pytest.mark.parametrize("log", BUILT)
def test_exactly_the_bad_tuples_are_rejects(run, log, rate):
    clean, mixed = generated(log), generated(log, bad_ratio=rate)
    good, bad = tuples_of(clean), tuples_of(mixed)
    wrong = {
        number for number, pair in enumerate(zip(good, bad, strict=True), 1) if pair[0] != pair[1]
    }
    result = run(mixed, log, block_bytes=40_000)
    assert set(result.reasons) == wrong
    assert [row["raw"].decode().split(",") for row in result.rejects] == [
        bad[n - 1] for n in sorted(wrong)
    ]
    expected = [row for row in run(clean, log).rows if row["source_pos"] not in wrong]
    assert result.rows == expected


@pytest.mark.parametrize(
    "columns",
    [
        ["bytes"],
        ["src_addr", "source_pos"],
        ["action", "attrs", "logged_at"],
        ["ip_version", "dst_port"],
    ],
)
def test_fewer_columns_are_the_same_columns(run, columns):
    data = generated("azure_vnet")
    some, every = run(data, columns=columns), run(data)
    assert set(some.table.column_names) == set(columns)
    for name in columns:
        assert some.table.column(name).to_pylist() == every.table.column(name).to_pylist()


def test_the_order_of_keys_and_the_layout_of_the_text_do_not_matter(run):
    data = generated("azure_vnet", 800)
    expected = run(data).rows

    def reversed_keys(node):
        if isinstance(node, dict):
            return {name: reversed_keys(value) for name, value in reversed(node.items())}
        return [reversed_keys(value) for value in node] if isinstance(node, list) else node

    document = json.loads(data)
    for form in (reversed_keys(document), document):
        for indent in (None, 1):
            text = json.dumps(form, indent=indent).encode()
            for block in (500, 20_000):
                rows = run(text, block_bytes=block).rows
                assert [{**row, "attrs": dict(row["attrs"])} for row in rows] == [
                    {**row, "attrs": dict(row["attrs"])} for row in expected
                ]


def test_keys_that_look_like_the_begin_of_a_record_mislead_nobody(run):
    document = json.loads(generated("azure_vnet", 800))
    for record in document["records"]:
        record["notes"] = [{"time": 1}, {"time": 2}, {"time": 3}]
    rows = run(json.dumps(document, separators=(",", ":")).encode(), block_bytes=600).rows
    assert len(rows) == 800


@pytest.mark.parametrize(
    "data",
    [b"", b'{"records":[', b'{"records":[]}', b'\xef\xbb\xbf{ "records" : [ ] }\n', b"]}", b" "],
)
def test_objects_without_records_have_no_rows(run, data):
    result = run(data)
    assert (result.rows, result.rejects, result.records) == ([], [], 0)


def test_case_49_a_growing_object_read_by_ranges_gives_each_tuple_once(run):
    data = generated("azure_vnet", 1600)
    whole = run(data)
    border = data.index(b',{"time"', len(data) // 2)
    first = run(data[:border])
    second = run(data[border:-2], head=data[:border])
    assert first.rejects == second.rejects == []
    rows = [*first.rows, *second.rows]
    assert [{**r, "source_pos": 0} for r in rows] == [{**r, "source_pos": 0} for r in whole.rows]
    positions = [row["source_pos"] for row in rows]
    assert positions == sorted(set(positions))
    counted = run(data[border:], head=data[:border], first_line=len(first.rows) + 1)
    assert [*first.rows, *counted.rows] == whole.rows


@pytest.mark.parametrize("end", [-3, -40, -700])
def test_case_50_a_torn_record_is_read_again_or_a_reject(run, end):
    data = generated("azure_vnet", 800)
    torn = data[:end]
    with pytest.raises(TruncatedError):
        run(torn, final=False)
    for block in (500, 1 << 20):
        result = run(torn, block_bytes=block)
        assert result.positions == list(range(1, 641))
        assert result.reasons == {641: "truncated"}
        assert torn.endswith(result.rejects[0]["raw"])


def test_case_50_complete_records_before_the_tear_come_first(run, collect, payload):
    data = generated("azure_vnet", 800)[:-400]
    decoder = VNET.decoder(VNET.config(), Context())
    blocks = decoder.blocks(payload("o", data, final=False))
    assert len(decoder.decode(next(blocks)).batch) == 640
    with pytest.raises(TruncatedError):
        next(blocks)


@pytest.mark.parametrize(
    ("spoil", "lost"),
    [
        (lambda text: text.replace(b"]}]}]}}", b"]}]}]}", 1), 160),
        (lambda text: text.replace(b"]}]}]}}", b"]}]}]}}}", 1), 0),
        (lambda text: text.replace(b'"flowTuples":["', b'"flowTuples":[', 1), 160),
        (lambda text: text.replace(b"macAddress", b"mac\xffAddress", 1), 160),
        (lambda text: text.replace(b'"flowGroups":[', b'"flowGroups":[[', 1), 160),
        (lambda text: text[: len(text) // 2] + text[len(text) // 2 + 30 :], 160),
    ],
)
@pytest.mark.parametrize("block", [700, 30_000, 1 << 20])
def test_a_damaged_record_does_not_take_others_with_it(run, spoil, lost, block):
    clean = generated("azure_vnet", 1600)
    parts = clean.split(b',{"time"')
    parts[4] = spoil(parts[4])
    damaged = b',{"time"'.join(parts)
    assert damaged != clean
    result = run(damaged, block_bytes=block)
    kept = [{**row, "source_pos": 0} for row in result.rows]
    known = [{**row, "source_pos": 0} for row in run(clean).rows]
    assert kept == known[: 4 * 160] + known[4 * 160 + lost :]
    assert bool(lost) <= len(result.rejects) <= 3


@pytest.mark.parametrize("block", [300, 40_000, 1 << 20])
def test_case_64_bytes_that_are_not_utf8_fail_their_tuple_only(run, block):
    data = generated("azure_vnet", 800)
    parts = data.split(b",NX,")
    spoiled = b",NX,".join([*parts[:300], parts[300] + b"\xff", *parts[301:]])
    spoiled = spoiled.replace(b'"time":', b'"time": ').replace(b'["1777', b'[ "1777', 1)
    result = run(spoiled, block_bytes=block)
    assert list(result.reasons.values()) == ["invalid_utf8"]
    assert len(result.rows) == 799
    assert result.rejects[0]["raw"].count(b"\xff") == 1


def test_a_record_larger_than_a_block_is_read(run):
    document = json.loads(generated("azure_vnet", 320))
    group = document["records"][0]["flowRecords"]["flows"][0]["flowGroups"][0]
    group["flowTuples"] = group["flowTuples"][:1] * 6_000
    data = json.dumps(document, separators=(",", ":")).encode()
    result = run(data, block_bytes=4096)
    whole = run(data).table
    assert result.rejects == []
    for name in ("start_time", "bytes", "interface_id", "source_pos"):
        assert result.table.column(name).to_pylist() == whole.column(name).to_pylist()
    assert whole.num_rows > 6_000


def test_a_record_beyond_all_bounds_is_a_reject_and_the_next_ones_are_read(run):
    document = json.loads(generated("azure_vnet", 800))
    document["records"][2]["padding"] = "x" * 300_000
    data = json.dumps(document, separators=(",", ":")).encode()
    result = run(data, block_bytes=1000, max_line_bytes=2000)
    assert list(result.reasons.values()) == ["record_too_long"]
    assert len(result.rows) == 640
    assert len(result.rejects[0]["raw"]) == 2000


def test_memory_does_not_follow_the_size_of_the_object(payload):
    part = generated("azure_vnet", 8000)[len(b'{"records":[') : -2]
    data = b'{"records":[' + b",".join([part] * 40) + b"]}"
    decoder = VNET.decoder(VNET.config(), Context(limits=Limits(block_bytes=1 << 18)))
    rows = 0
    tracemalloc.start()
    for block in decoder.blocks(payload("o", data)):
        rows += block.records
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 320_000
    assert peak < 8 << 20 < len(data)


def test_compressed_objects_and_what_is_left_of_truncated_ones(run):
    data = generated("azure_nsg_v2", 1600)
    expected = run(data, "azure_nsg_v2").rows
    packed = gzip.compress(data)
    assert run(packed, "azure_nsg_v2").rows == expected
    zstd = pa.compress(data, "zstd", asbytes=True)
    assert run(zstd, "azure_nsg_v2").rows == expected
    with pytest.raises(TruncatedError):
        run(packed[:-1000], "azure_nsg_v2", final=False)
    result = run(packed[:-1000], "azure_nsg_v2", block_bytes=3000)
    assert 0 < len(result.rows) < 1600
    assert result.rows == expected[: len(result.rows)]
    assert list(result.reasons.values()) == ["truncated"]


def test_documents_and_records_one_after_the_other_are_read(run):
    data = generated("azure_vnet", 480)
    expected = [{**row, "source_pos": 0} for row in run(data).rows]
    records = [json.dumps(record) for record in json.loads(data)["records"]]
    forms = {
        "documents": data + data,
        "documents by line": data + b"\n" + data,
        "array": f"[{','.join(records * 2)}]".encode(),
        "lines": "\n".join(records * 2).encode(),
    }
    for name, form in forms.items():
        for block in (400, 1 << 20):
            result = run(form, block_bytes=block)
            assert result.rejects == [], name
            assert [{**row, "source_pos": 0} for row in result.rows] == expected * 2, name


@pytest.mark.parametrize("log", ["azure_nsg_v2", "azure_vnet"])
def test_rejected_tuples_can_be_replayed_into_full_rows(run, collect, payload, log):
    result = run(generated(log, 320, bad_ratio=0.1), log)
    clean = {row["source_pos"]: row for row in run(generated(log, 320), log).rows}
    first = result.rejects[0]
    mended = ",".join(tuples_of(generated(log, 320))[first["source_pos"] - 1])
    cls, config = BUILT[log]
    decoder = cls(config())
    again = collect(
        decoder,
        decoder.replay(payload("mem://o", mended.encode() + b"\nstill bad\n"), first["layout"]),
    )
    (row,) = again.rows
    assert {**row, "source_pos": first["source_pos"]} == clean[first["source_pos"]]
    assert again.reasons == {2: "too_few_fields"}


def test_rejected_records_can_be_replayed_line_by_line(collect, payload):
    records = json.loads(generated("azure_vnet", 320))["records"]
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    decoder = VNET.decoder(VNET.config())
    result = collect(decoder, decoder.replay(payload("o", lines + b"{broken\n"), None))
    assert set(result.positions) == {1, 2}
    assert len(result.rows) == 320
    assert result.reasons == {3: "bad_json"}


texts = st.one_of(
    st.from_regex(r"1[0-9]{9},[0-9.,A-Z]{0,12}", fullmatch=True),
    st.sampled_from(["", ",", "]", "1", ",1", '"', "\\", "[", "a b", "5,é"]),
)
elements = st.one_of(texts, texts, st.sampled_from([5, None, True, ["1"], {"a": "5"}, {}]))
lists = st.lists(st.one_of(st.lists(texts, max_size=4), st.lists(elements, max_size=4)), max_size=4)


@given(st.lists(lists, min_size=1, max_size=3), st.booleans())
def test_the_tuples_counted_while_cutting_are_those_of_a_full_parse(records, compact):
    documents = [vnet_record(groups) for groups in records]
    separators = (",", ":") if compact else None
    text = json.dumps(documents, separators=separators, ensure_ascii=False).encode()
    parsed = sum(len(group) for groups in records for group in groups)
    exact = read_exactly(text)
    loose, _ = read_loosely(json.loads(text), "vnet")
    assert sum(part.tuples for part in loose) == parsed
    if exact is None:
        assert not compact or not all(
            type(one) is str and one[:1].isdigit()
            for groups in records
            for g in groups
            for one in g
        )
        return
    assert sum(part.tuples for part in exact) == parsed
    lines = [tuple_lines(part) for part in (*exact, *loose)]
    assert len({line.plain().removesuffix(b"\n") for line in lines}) == 1
    assert len({tuple(line.counts.tolist()) for line in lines}) == 1


def vnet_record(groups):
    """Make a virtual network record of groups of tuples, as Azure writes it."""
    flows = [{"aclID": "a", "flowGroups": [{"rule": "r", "flowTuples": group} for group in groups]}]
    return {"category": "FlowLogFlowEvent", "flowRecords": {"flows": flows}}


junk = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b'{"records":[',
            b"]}",
            b"}",
            b"{",
            b",",
            b'{"time":"x"}',
            b'"',
            b"\\",
            b'{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["a",5,"\\n"]}]}]}}',
            b'{"properties":{"flows":7}}',
            b"[[]]",
            b"\x1f\x8b",
        ]
    ),
)


def test_junk_raises_nothing_but_refusals_and_everything_is_counted(run):
    record = generated("azure_vnet", 160)[len(b'{"records":[') : -2]

    @quick
    @given(
        st.lists(st.one_of(junk, st.just(record)), max_size=6),
        st.sampled_from([64, 1 << 20]),
        st.booleans(),
    )
    def holds(parts, block, final):
        try:
            result = run(b"".join(parts), block_bytes=block, final=final)
        except (RejectError, TruncatedError):
            return
        assert result.records == len(result.rows) + len(result.rejects) + result.skipped

    holds()


def test_a_flipped_byte_loses_at_most_its_record(run):
    data = generated("azure_vnet", 480)
    rng = random.Random(7)
    for _ in range(25):
        place = rng.randrange(20, len(data) - 20)
        spoiled = data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
        result = run(spoiled, block_bytes=rng.choice([300, 1 << 20]))
        assert len(result.rows) >= 319


port, count = st.integers(0, 65535), st.one_of(st.none(), st.integers(0, 2**63 - 1))
flow = st.tuples(
    st.integers(0, 4_000_000_000), st.ip_addresses(), st.ip_addresses(), port, port,
    st.sampled_from([6, 17, 132]), st.sampled_from("IO"), st.sampled_from("CE"),
    st.sampled_from(["X", "NX", "NX_NEW_CODE", ""]), count, count, count, count,
).filter(lambda values: all(getattr(a, "ipv4_mapped", None) is None for a in values[1:3]))  # fmt: skip


def test_tuples_of_any_values_come_back(run):
    @quick
    @given(st.lists(flow, min_size=1, max_size=8), st.booleans())
    def holds(flows, spoil):
        texts = [",".join("" if v is None else str(v) for v in values) for values in flows]
        record = {
            "category": "FlowLogFlowEvent",
            "flowRecords": {"flows": [{"flowGroups": [{"flowTuples": texts + ["-"] * spoil}]}]},
        }
        result = run(json.dumps({"records": [record]}, separators=(",", ":")).encode())
        assert len(result.rejects) == spoil
        for row, values in zip(result.rows, flows, strict=True):
            assert row["start_time"].timestamp() == values[0]
            assert (row["src_addr"], row["dst_addr"]) == (str(values[1]), str(values[2]))
            assert (row["src_port"], row["dst_port"], row["protocol"]) == values[3:6]
            assert row["encryption"] == (values[8] or None)
            assert (row["packets"], row["bytes"], row["packets_rev"], row["bytes_rev"]) == values[
                9:
            ]

    holds()
