"""Rows as Avro and Protobuf: what other libraries read is what was in the columns."""

import datetime as dt
import io
import re

import fastavro
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_kafka.encode_schema import AvroCodec, ProtobufCodec

from ktrans.api import ConfigError
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.kit.rows.binary import varints, zigzag
from tests.examples import examples

TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
MAP = pa.map_(pa.string(), pa.string())

texts = st.text(st.characters(codec="utf-8"), max_size=12)
EARLIEST = dt.datetime.fromisoformat("1900-01-01")
LATEST = dt.datetime.fromisoformat("2200-01-01")
times = st.datetimes(EARLIEST, LATEST, timezones=st.just(dt.UTC))
VALUES = {
    "text": (TEXT, texts),
    "plain": (pa.string(), texts),
    "raw": (pa.binary(), st.binary(max_size=8)),
    "small": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "word": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "big": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "unsigned": (pa.uint32(), st.integers(0, 2**32 - 1)),
    "flag": (pa.bool_(), st.booleans()),
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "single": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "time": (TIME, times),
    "day": (pa.date32(), st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1))),
    "map": (MAP, st.dictionaries(texts, texts, max_size=3).map(lambda d: sorted(d.items()))),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in VALUES.items()])

rows = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in VALUES.items()})
tables = st.lists(rows, min_size=1, max_size=40)


def batch_of(rows, schema=SCHEMA):
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def plain(row):
    return {name: dict(value) if name == "map" and value is not None else value
            for name, value in row.items()}  # fmt: skip


def read_avro(values, codec):
    parsed = fastavro.parse_schema(codec.schema)
    return [fastavro.schemaless_reader(io.BytesIO(value), parsed) for value in values]


@settings(max_examples=examples(40), deadline=None)
@given(tables)
def test_fastavro_reads_what_was_in_the_columns(rows):
    codec = AvroCodec(SCHEMA, "a.b.Row")
    made = codec.encode(batch_of(rows), b"").to_pylist()
    assert read_avro(made, codec) == [plain(row) for row in rows]


@settings(max_examples=examples(20), deadline=None)
@given(tables)
def test_fastavro_writes_the_very_same_bytes(rows):
    schema = pa.schema([field for field in SCHEMA if field.name != "map"])
    codec = AvroCodec(schema, "Row")
    parsed = fastavro.parse_schema(codec.schema)
    expected = []
    for row in rows:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, {k: v for k, v in row.items() if k != "map"})
        expected.append(stream.getvalue())
    assert codec.encode(batch_of(rows, schema), b"").to_pylist() == expected


@settings(max_examples=examples(20), deadline=None)
@given(tables, st.integers(0, 10))
def test_slices_give_the_rows_of_the_slice(rows, start):
    batch = batch_of(rows)
    for codec in (AvroCodec(SCHEMA, "Row"), ProtobufCodec(SCHEMA, "Row")):
        whole = codec.encode(batch, b"h").to_pylist()
        assert codec.encode(batch.slice(start), b"h").to_pylist() == whole[start:]


def test_lists_are_avro_arrays():
    schema = pa.schema([("ports", pa.list_(pa.int32()))])
    values = [[1, None, -3], [], None, [7]]
    batch = pa.record_batch({"ports": pa.array(values, schema[0].type)}, schema=schema)
    codec = AvroCodec(schema, "Row")
    read = read_avro(codec.encode(batch.slice(1), b"").to_pylist(), codec)
    assert [row["ports"] for row in read] == values[1:]


def test_the_whole_flow_schema_has_forms_in_both():
    batch = pa.RecordBatch.from_arrays(
        [pa.nulls(3, f.type) for f in FLOW_SCHEMA], schema=FLOW_SCHEMA
    )
    codec = AvroCodec(FLOW_SCHEMA, "ktrans.Flow")
    read = read_avro(codec.encode(batch, b"").to_pylist(), codec)
    assert read == [dict.fromkeys(FLOW_SCHEMA.names)] * 3
    protobuf = ProtobufCodec(FLOW_SCHEMA, "ktrans.Flow")
    assert protobuf.encode(batch, b"").to_pylist() == [b""] * 3


def test_single_objects_are_read_by_fastavro():
    schema = pa.schema([("n", pa.int64())])
    codec = AvroCodec(schema, "Row")
    batch = pa.record_batch({"n": [5]}, schema=schema)
    value = codec.encode(batch, b"\xc3\x01" + codec.fingerprint())[0].as_py()
    # The marker, and the CRC-64-AVRO of {"name":"Row","type":"record","fields":[...]}.
    assert value[:10].hex() == "c301d03f244b3a6f16e2"
    assert read_avro([value[10:]], codec) == [{"n": 5}]


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30))
def test_varints_read_back(numbers):
    import numpy as np

    for number, data in zip(
        numbers, varints(np.array(numbers, np.uint64)).to_pylist(), strict=True
    ):
        assert sum((byte & 0x7F) << 7 * at for at, byte in enumerate(data)) == number
        assert [byte >> 7 for byte in data] == [1] * (len(data) - 1) + [0]
    signed = np.array([n - 2**63 for n in numbers], np.int64)
    mapped = [int(n) for n in zigzag(signed)]
    assert [(n >> 1) ^ -(n & 1) for n in mapped] == signed.tolist()


# -- Protobuf -------------------------------------------------------------------------------------

_KINDS = {kind: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}") for kind in (
    "string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "double", "float"
)}  # fmt: skip


def message_class(text):
    """Build a message class of a .proto text as ours are, without a compiler for them."""
    package = re.search(r"package ([\w.]+);", text)
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", syntax="proto3")
    file.package = package[1] if package else ""
    name = re.search(r"message (\w+)", text)[1]
    made = file.message_type.add(name=name)
    pattern = r"^  (optional )?(?:map<string, (\w+)>|(\w+)) (\w+) = (\d+);"
    for optional, item, kind, field_name, number in re.findall(pattern, text, re.MULTILINE):
        field = made.field.add(name=field_name, number=int(number))
        if item:
            entry_name = field_name.title().replace("_", "") + "Entry"
            entry = made.nested_type.add(name=entry_name)
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=_KINDS["string"], label=1)
            entry.field.add(name="value", number=2, type=_KINDS[item], label=1)
            field.type, field.label = 11, 3
            path = ".".join(part for part in ("", file.package, name, entry_name))
            field.type_name = path.replace("..", ".")
            continue
        field.type, field.label = _KINDS[kind], 1
        if optional:
            field.proto3_optional = True
            field.oneof_index = len(made.oneof_decl)
            made.oneof_decl.add(name=f"_{field_name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    full = f"{file.package}.{name}".lstrip(".")
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(full))


def as_protobuf(row):
    """What a row looks like in a message: times as numbers, a null map as none."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    made = plain(row)
    if made["time"] is not None:
        made["time"] = (made["time"] - epoch) // dt.timedelta(microseconds=1)
    if made["day"] is not None:
        made["day"] = (made["day"] - dt.date(1970, 1, 1)).days
    made["map"] = made["map"] or {}
    return made


@settings(max_examples=examples(40), deadline=None)
@given(tables)
def test_protobuf_reads_what_was_in_the_columns(rows):
    codec = ProtobufCodec(SCHEMA, "x.y.Row")
    kind = message_class(codec.text)
    for row, data in zip(rows, codec.encode(batch_of(rows), b"").to_pylist(), strict=True):
        read = kind.FromString(data)
        found = {
            name: dict(read.map)
            if name == "map"
            else (getattr(read, name) if read.HasField(name) else None)
            for name in SCHEMA.names
        }
        assert found == as_protobuf(row)
        assert kind.FromString(read.SerializeToString()) == read


def test_field_numbers_do_not_depend_on_the_other_columns():
    extra = pa.schema([*FLOW_SCHEMA, pa.field("src_geo_city", TEXT), pa.field("tag", TEXT)])
    fewer = pa.schema([pa.field("tag", TEXT), extra.field("bytes"), extra.field("provider")])
    numbers = ProtobufCodec(extra, "Row").numbers
    assert ProtobufCodec(fewer, "Row").numbers == {
        name: numbers[name] for name in ("tag", "bytes", "provider")
    }
    assert numbers["provider"] == 1
    assert not any(19_000 <= number < 20_000 for number in numbers.values())


@pytest.mark.parametrize("codec", [AvroCodec, ProtobufCodec])
@pytest.mark.parametrize(
    "field",
    [pa.field("a-b", pa.int64()), pa.field("u", pa.month_day_nano_interval())],
    ids=["name", "type"],
)
def test_what_has_no_form_is_named(codec, field):
    with pytest.raises(ConfigError, match=field.name) as caught:
        codec(pa.schema([field]), "Row")
    assert caught.value.hint
