"""What every built-in format owes its users: all rows come back, equal and in order."""

import base64
import csv
import io
import json
import math
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import ConfigError
from ktrans.flow.schema import FLOW_SCHEMA, TEXT, TIME
from ktrans.registry.builtin import FORMATS
from ktrans.testing.contracts import FormatContract
from ktrans.testing.contracts.formats import flow_batch, write
from tests.examples import examples

SPECS = {spec.type: spec for spec in FORMATS}


class TestBuiltInFormats(FormatContract):
    covers = tuple(SPECS)

    @pytest.fixture(autouse=True, params=SPECS)
    def chosen(self, request):
        self.name = request.param

    def make(self, schema):
        return make(self.name, schema)

    def rows(self, data):
        if self.name == "parquet":
            return pq.read_table(io.BytesIO(data)).to_pylist()
        if self.name == "arrow":
            return pa.ipc.open_stream(data).read_all().to_pylist()
        if self.name == "jsonl":
            return [json.loads(line) for line in data.splitlines()]
        if self.name == "csv":
            csv.field_size_limit(1 << 30)
            read = csv.DictReader(io.StringIO(data.decode(), newline=""))
            return [{**row, "source_pos": int(row["source_pos"])} for row in read]
        return None

    def positions(self, data):  # Python's times end at the year 9999
        if self.name == "parquet":
            return pq.read_table(io.BytesIO(data))["source_pos"].to_pylist()
        if self.name == "arrow":
            return pa.ipc.open_stream(data).read_all()["source_pos"].to_pylist()
        return super().positions(data)


def load(reference):
    module, _, attr = reference.partition(":")
    return getattr(__import__(module, fromlist=[attr]), attr)


def make(name, schema, **options):
    spec = SPECS[name]
    made = load(spec.build)(load(spec.config)(**options))
    made.bind(schema)
    return made


# --- batches ---

COLUMNS = {
    "start_time": (TIME, st.integers(-(10**15), 10**16)),
    "src_addr": (TEXT, st.text(max_size=8)),
    "region": (TEXT, st.sampled_from(['a"b', "c\\d", "e\nf", "g,h", "\x00\x1f\x7f", "é€😀", ""])),
    "src_port": (pa.int32(), st.integers(0, 65535)),
    "bytes": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "tiny": (pa.int8(), st.integers(-128, 127)),
    "big": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "share": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "flag": (pa.bool_(), st.booleans()),
    "note": (pa.large_string(), st.text(max_size=5)),
    "raw": (pa.binary(), st.binary(max_size=7)),
    "attrs": (
        pa.map_(pa.string(), pa.string()),
        st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3), max_size=3).map(
            lambda found: list(found.items())
        ),
    ),
    "hops": (pa.list_(pa.int32()), st.lists(st.none() | st.integers(0, 9), max_size=3)),
    "peer": (
        pa.struct([("port", pa.int32()), ("name", TEXT)]),
        st.fixed_dictionaries(
            {"port": st.none() | st.integers(0, 9), "name": st.none() | st.text(max_size=3)}
        ),
    ),
}


@st.composite
def columns(draw, kind, values, rows):
    cells = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
    if draw(st.integers(0, 5)) == 0:
        cells = [None] * rows
    if kind != TEXT:
        return pa.array(cells, kind)
    # As decoders and enrichers leave them: values that no row uses, nulls among the values.
    spare = draw(st.sampled_from([[], ["unused"], ["unused", None] * 20]))
    words = [*dict.fromkeys(cell for cell in cells if cell is not None), *spare]
    null = words.index(None) if None in words and draw(st.booleans()) else None
    codes = [null if cell is None else words.index(cell) for cell in cells]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words, pa.string()))


@st.composite
def tables(draw, names=tuple(COLUMNS)):
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True))
    schema = pa.schema([(name, COLUMNS[name][0]) for name in chosen])
    batches = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, 6))
        arrays = [draw(columns(*COLUMNS[name], rows)) for name in chosen]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        batches.append(batch.slice(draw(st.integers(0, 2))))
    return schema, batches


def rows_of(batches):
    return [row for batch in batches for row in batch.to_pylist()]


def rfc3339(moment):
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def plain(value, *, nulls):
    """The reference: one value as JSON has it, worked out one at a time."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {k: plain(v, nulls=nulls) for k, v in value.items() if nulls or v is not None}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            return dict(value)
        return [plain(item, nulls=nulls) for item in value]
    return value


def json_rows(batches, *, nulls):
    kinds = batches[0].schema
    expected = []
    for row in rows_of(batches):
        cells = {
            name: {} if value == [] and pa.types.is_map(kinds.field(name).type) else value
            for name, value in row.items()
        }
        expected.append(plain(cells, nulls=nulls))
    return expected


# --- reading back ---


@settings(max_examples=examples(80), deadline=None)
@given(tables(), st.booleans())
def test_json_lines_say_what_the_json_module_would_say(table, nulls):
    schema, batches = table
    made = make("jsonl", schema, nulls="write" if nulls else "omit")
    lines = write(made, batches).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == json_rows(batches, nulls=nulls)


@settings(max_examples=examples(60), deadline=None)
@given(tables(), st.sampled_from([",", ";", "\t", "-", "1"]), st.sampled_from(["lf", "crlf"]))
def test_csv_reads_back_with_the_csv_module(table, delimiter, line_end):
    schema, batches = table
    data = write(make("csv", schema, delimiter=delimiter, line_end=line_end), batches).decode()
    header, *lines = list(csv.reader(io.StringIO(data, newline=""), delimiter=delimiter))
    assert header == schema.names
    for line, row in zip(lines, json_rows(batches, nulls=False), strict=True):
        for name, cell in zip(schema.names, line, strict=True):
            value = row.get(name)
            if isinstance(value, (dict, list)):
                assert json.loads(cell) == value
            elif isinstance(value, float):
                assert float(cell) == value
            else:
                expected = {None: "", True: "true", False: "false"}.get(value, value)
                assert cell == (str(value) if type(value) is int else expected)


@settings(max_examples=examples(50), deadline=None)
@given(tables())
def test_arrow_streams_read_back_equal(table):
    schema, batches = table
    data = write(make("arrow", schema), batches)
    read = pa.ipc.open_stream(data).read_all()
    assert read.schema == schema
    assert read.to_pylist() == rows_of(batches)


@settings(max_examples=examples(50), deadline=None)
@given(tables(), st.integers(1, 5), st.sampled_from(["zstd", "snappy", "gzip", "none"]))
def test_parquet_reads_back_equal(table, row_group_rows, compression):
    schema, batches = table
    made = make("parquet", schema, row_group_rows=row_group_rows, compression=compression)
    data = write(made, batches)
    read = pq.read_table(io.BytesIO(data))
    assert read.schema == schema
    assert read.to_pylist() == rows_of(batches)


@pytest.mark.parametrize("name", SPECS)
def test_a_file_without_rows_is_a_file(name):
    data = write(make(name, FLOW_SCHEMA), [])
    if name == "parquet":
        assert pq.read_table(io.BytesIO(data)).num_rows == 0
    elif name == "arrow":
        assert pa.ipc.open_stream(data).read_all().num_rows == 0
    elif name == "csv":
        assert data.decode() == ",".join(FLOW_SCHEMA.names) + "\n"
    else:
        assert data == b""


@pytest.mark.parametrize("name", SPECS)
def test_a_type_that_cannot_be_stored_is_an_error_before_any_row(name):
    odd = pa.dense_union([pa.field("a", pa.int8()), pa.field("b", pa.string())])
    schema = pa.schema([("start_time", TIME), ("odd", odd)])
    if name == "arrow":
        make(name, schema)  # the stream holds any type of Arrow's
        return
    options = {"fields": ["odd"], "uniqueness": "none"} if name == "influx" else {}
    with pytest.raises(ConfigError, match="'odd'"):
        make(name, schema, **options)


def test_numbers_that_json_has_no_form_for_are_null():
    batch = pa.record_batch({"a": pa.array([1.5, math.nan, math.inf, None]), "b": [1, 2, 3, 4]})
    lines = write(make("jsonl", batch.schema), [batch]).decode().splitlines()
    values = [json.loads(line) for line in lines]
    assert values == [{"a": 1.5, "b": 1}, {"a": None, "b": 2}, {"a": None, "b": 3}, {"b": 4}]


def test_csv_tells_null_from_empty_text():
    batch = pa.record_batch({"a": pa.array(["", None, "x"]), "b": pa.array([None, "", None])})
    data = write(make("csv", batch.schema), [batch])
    assert data.decode().splitlines() == ["a,b", '"",', ',""', "x,"]


def test_parquet_footer_carries_version_and_descriptions_and_only_the_asked_statistics():
    file = pq.ParquetFile(io.BytesIO(write(make("parquet", FLOW_SCHEMA), [flow_batch()])))
    assert file.metadata.metadata[b"ktrans.flow.version"] == b"1"
    assert file.schema_arrow.field("bytes").metadata[b"unit"] == b"bytes"
    group = file.metadata.row_group(0)
    with_statistics = {
        group.column(i).path_in_schema
        for i in range(group.num_columns)
        if group.column(i).is_stats_set
    }
    assert with_statistics == {"start_time", "end_time"}


def test_parquet_writes_one_dictionary_for_all_batches_of_a_row_group():
    words = [f"eni-{i:017x}" for i in range(2000)]
    batches = [
        pa.record_batch({"id": pa.array(words[i:] + words[:i]).dictionary_encode()})
        for i in range(0, 2000, 100)
    ]
    data = write(make("parquet", batches[0].schema), batches)
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.num_row_groups == 1
    assert "PLAIN" not in file.metadata.row_group(0).column(0).encodings[-1:]
    assert len(data) < 150_000  # 40,000 values of 21 bytes, told by 11-bit codes


def test_parquet_counts_gathered_rows_in_the_size_of_a_file():
    made = make("parquet", FLOW_SCHEMA)
    writer = made.open(io.BytesIO())
    before = writer.tell()
    writer.write(made.encode(flow_batch()))
    assert writer.tell() > before


@pytest.mark.parametrize("name", ["jsonl", "csv", "influx"])
def test_groups_of_rows_encode_as_they_would_apart(name):
    batch, made = flow_batch(), make(name, FLOW_SCHEMA)
    groups = [pa.array([0, 3, 4]), pa.array([49]), pa.array([2, 1])]
    together = made.encode_groups(batch, groups)
    apart = [made.encode(batch.take(indices)) for indices in groups]
    assert [bytes(part.data) for part in together] == [bytes(part.data) for part in apart]
    assert [part.rows for part in together] == [3, 1, 2]
    assert [part.nbytes for part in together] == [part.nbytes for part in apart]


@pytest.mark.parametrize("name", ["jsonl", "csv", "influx"])
def test_a_batch_whose_text_would_be_too_large_for_one_array_is_encoded_in_parts(name, monkeypatch):
    batch, made = flow_batch(), make(name, FLOW_SCHEMA)
    whole = made.encode(batch)
    monkeypatch.setattr("ktrans.kit.rows.pieces.MAX_JOINED_BYTES", 3000)
    assert len(made.texts(batch)) > 1
    parts = made.encode(batch)
    assert (bytes(parts.data), parts.rows) == (bytes(whole.data), whole.rows)
    [group] = made.encode_groups(batch, [pa.array(range(50))])
    assert bytes(group.data) == bytes(whole.data)


@pytest.mark.parametrize("name", SPECS)
def test_a_null_among_the_values_of_a_dictionary_is_a_null(name):
    codes = pa.array([0, 1, 2, None], pa.int32())
    odd = pa.DictionaryArray.from_arrays(codes, pa.array(["a", None, "b"]))
    start = pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * 4, TIME)
    positions = pa.array(range(4), pa.int64())
    rest = {"start_time": start, "source_uri": pa.array(["x"] * 4, TEXT), "source_pos": positions}
    batch = pa.record_batch({"action": odd, **rest})
    clean = pa.record_batch({"action": pa.array(["a", None, "b", None], TEXT), **rest})
    assert write(make(name, batch.schema), [batch]) == write(make(name, clean.schema), [clean])


def test_csv_makes_no_formulas_for_spreadsheets_if_asked():
    texts = ["=1+1", "+1", "-1", "@a", "\tx", "\n=1", "a=b", "", None, "10.0.0.1"]
    columns = {"text": texts, "coded": pa.array(texts).dictionary_encode(), "n": [-1] * len(texts)}
    batch = pa.RecordBatch.from_pydict(columns)
    plain, escaped = (
        list(csv.reader(io.StringIO(write(make("csv", batch.schema, **o), [batch]).decode())))
        for o in ({}, {"escape_formulas": True})
    )
    assert [row[0] for row in plain[1:7]] == texts[:6]
    assert [row[0] for row in escaped[1:7]] == [f"'{text}" for text in texts[:6]]
    assert [row[0] for row in escaped[7:]] == ["a=b", "", "", "10.0.0.1"]
    assert all(row[0] == row[1] and row[2] == "-1" for row in escaped[1:])
