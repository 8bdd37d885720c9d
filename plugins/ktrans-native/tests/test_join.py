"""Rows as text, joined natively: the same bytes as without the accelerator, whatever the columns hold."""

import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktrans.api import Coded, KtransError, Numbers, Plain
from ktrans.flow.schema import FLOW_SCHEMA
from ktrans.formats.csv import CsvFormat, CsvFormatConfig
from ktrans.formats.jsonl import JsonlFormat, JsonlFormatConfig
from ktrans.kit.accelerate import accelerated
from ktrans.kit.rows.es_bulk import EsBulkFormat, EsBulkFormatConfig
from ktrans.kit.rows.influx import InfluxFormat, InfluxFormatConfig
from ktrans.kit.rows.pieces import joined, max_bytes
from ktrans.testing.contracts import FormatContract
from ktrans.testing.contracts.formats import flow_batch
from ktrans.testing.hostile import hostile_rows

pytest.importorskip("ktrans_native._native")

from ktrans_native.accelerator import NativeAccelerator
from ktrans_native.join import join

NATIVE = NativeAccelerator()
ROWS = int(os.environ.get("KTRANS_NATIVE_ROWS", "1000"))
"""About how many rows each test makes."""
BATCHES = settings(
    max_examples=max(ROWS // 40, 25),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# --- what columns hold ---

ODD = [
    '"',
    "\\",
    "a,b",
    "=1+1",
    "a=b c",
    "end\\",
    "\x7f",
    "é€😀\u2028",
    "x" * 31,
    "y" * 63,
    "z" * 200,
]
WORDS = st.one_of(st.text(max_size=8), st.sampled_from([*ODD, *map(chr, range(32))]))
_YEAR_0, _YEAR_10000 = -62_167_219_200, 253_402_300_800


def integers(bits, low):
    high = (1 << bits) + low - 1
    borders = [low, high, 0, 1, 9, 10, 99_999_999, 100_000_000, 10**16 - 1, 10**16]
    fitting = [number for number in borders if low <= number <= high]
    return st.sampled_from(fitting) | st.integers(low, high)


def times(per_second):
    second = st.one_of(
        st.integers(1_777_881_600, 1_777_881_700),
        st.sampled_from([0, -1, _YEAR_0, _YEAR_10000 - 1]),
        st.integers(_YEAR_0, _YEAR_10000 - 1),
    )
    outside = st.sampled_from([_YEAR_0 - 1, _YEAR_10000, 2**62 // per_second])
    fraction = st.just(0) | st.integers(0, per_second - 1)
    seconds = st.one_of(second, second, second, outside)
    ticks = st.builds(lambda whole, rest: whole * per_second + rest, seconds, fraction)
    return ticks.filter(lambda tick: abs(tick) < 2**63)


SIGNED = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
KINDS = [
    *((kind, integers(kind.bit_width, -(1 << (kind.bit_width - 1)))) for kind in SIGNED),
    *((kind, integers(kind.bit_width, 0)) for kind in (pa.uint8(), pa.uint16(), pa.uint32())),
    (pa.uint64(), integers(64, 0)),
    *(
        (pa.timestamp(unit, zone), times(per_second))
        for unit, per_second in (("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9))
        for zone in (None, "UTC", "Europe/Berlin")
    ),
    *((kind, WORDS) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    (pa.binary(), st.binary(max_size=5)),
    (pa.bool_(), st.booleans()),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.date32(), st.integers(-700_000, 2_900_000)),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.duration("ms"), st.integers(-(2**62), 2**62)),
    (pa.null(), st.none()),
]
SCALARS = st.sampled_from(KINDS)


@st.composite
def values(draw, kind, cells, count):
    few = draw(st.lists(cells, min_size=1, max_size=2))
    cell = draw(st.sampled_from([cells, st.none() | cells, st.sampled_from(few)]))
    return pa.array(draw(st.lists(cell, min_size=count, max_size=count)), kind)


@st.composite
def dictionaries(draw, count):
    """As decoders leave them, and odder: nulls among indices and values, values that no row uses."""
    kind, cells = draw(SCALARS.filter(lambda each: not pa.types.is_null(each[0])))
    distinct = draw(values(kind, cells, draw(st.integers(1, 20))))
    code = st.none() | st.integers(0, len(distinct) - 1)
    codes = draw(st.lists(code, min_size=count, max_size=count))
    return pa.DictionaryArray.from_arrays(pa.array(codes, draw(st.sampled_from(SIGNED))), distinct)


@st.composite
def nested(draw, count):
    shape = draw(st.sampled_from(["map", "list", "struct"]))
    if shape == "map":
        pairs = st.none() | st.lists(st.tuples(WORDS, st.none() | WORDS), max_size=3)
        rows = draw(st.lists(pairs, min_size=count, max_size=count))
        return pa.array(rows, pa.map_(pa.string(), pa.string()))
    if shape == "list":
        few = st.none() | st.lists(st.none() | integers(64, -(2**63)), max_size=3)
        return pa.array(draw(st.lists(few, min_size=count, max_size=count)), pa.list_(pa.int64()))
    columns = [draw(values(*draw(SCALARS), count)) for _ in range(draw(st.integers(1, 3)))]
    mask = pa.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), pa.bool_())
    names = [f"m{number}" for number in range(len(columns))]
    return pa.StructArray.from_arrays(columns, names, mask=draw(st.sampled_from([None, mask])))


@st.composite
def batches(draw, *, flat=False):
    count = draw(st.sampled_from([0, 1, 2, 5, 40, 80]))
    columns = {}
    for number in range(draw(st.integers(1, 6))):
        choice = draw(st.integers(0, 5 if flat else 6))
        if choice < 4:
            column = draw(values(*draw(SCALARS), count))
        else:
            column = draw(dictionaries(count) if choice < 6 else nested(count))
        columns[f'odd "name" {number}'] = column
    batch = pa.RecordBatch.from_pydict(columns)
    return batch.slice(draw(st.integers(0, 3)), draw(st.integers(0, 80)))


@st.composite
def points(draw):
    """Rows with a time and an origin, or almost."""
    batch = draw(batches(flat=True))
    count = batch.num_rows
    seconds = [None] if draw(st.integers(0, 9)) == 0 else []
    cell = st.sampled_from([*seconds, *range(1_777_881_600, 1_777_881_603)])
    unit = draw(st.sampled_from(["s", "us"]))
    start = pa.array(draw(st.lists(cell, min_size=count, max_size=count)), pa.timestamp(unit))
    codes = pa.array([n % 2 for n in range(count)], draw(st.sampled_from(SIGNED)))
    origin = pa.DictionaryArray.from_arrays(codes, pa.array(["file:///0", "file:///1"]))
    return (
        batch.append_column("start_time", start)
        .append_column("source_uri", origin)
        .append_column("source_pos", pa.array(range(count), pa.int64()))
    )


def outcome(made, batch):
    """Return what a format makes of a batch, or the error that it raises."""
    try:
        made.bind(batch.schema)
        return bytes(made.encode(batch).data)
    except (KtransError, pa.ArrowException) as error:
        return type(error), str(error)


def assert_same(make, batch):
    with accelerated(None):
        expected = outcome(make(), batch)
    with accelerated(NATIVE):
        assert outcome(make(), batch) == expected


# --- formats ---


@BATCHES
@given(batches(), st.sampled_from(["omit", "write"]))
def test_json_lines(batch, nulls):
    assert_same(lambda: JsonlFormat(JsonlFormatConfig(nulls=nulls)), batch)


@BATCHES
@given(batches(), st.sampled_from(",;\t-1:"), st.sampled_from(["lf", "crlf"]), st.booleans())
def test_csv(batch, delimiter, line_end, escape):
    config = CsvFormatConfig(delimiter=delimiter, line_end=line_end, escape_formulas=escape)
    assert_same(lambda: CsvFormat(config), batch)


@BATCHES
@given(
    points(),
    st.sampled_from(["sequence", "object_tag", "row_tag", "none"]),
    st.sampled_from(["ns", "us", "ms", "s"]),
    st.booleans(),
    st.integers(0, 5),
)
def test_line_protocol(batch, uniqueness, precision, counted, cut):
    names = batch.schema.names[:-3]
    config = InfluxFormatConfig(
        tags=tuple(names[:cut]),
        fields=tuple(names[cut:]),
        count_field="flows" if counted or not names[cut:] else None,
        time=("start_time",),
        uniqueness=uniqueness,
        precision="ns" if uniqueness in {"sequence", "object_tag"} else precision,
    )
    assert_same(lambda: InfluxFormat(config), batch)


@BATCHES
@given(points(), st.booleans(), st.booleans())
def test_bulk_requests_of_elasticsearch(batch, by_day, by_time):
    index = "flows-{start_time:%Y.%m.%d}" if by_day else '{odd "name" 0}'
    ids = ("source_uri", "start_time" if by_time else "source_pos")
    assert_same(lambda: EsBulkFormat(EsBulkFormatConfig(index=index, id_columns=ids)), batch)


FORMATS = {
    "jsonl": lambda: JsonlFormat(JsonlFormatConfig()),
    "jsonl with nulls": lambda: JsonlFormat(JsonlFormatConfig(nulls="write")),
    "csv": lambda: CsvFormat(CsvFormatConfig()),
    "influx": lambda: InfluxFormat(InfluxFormatConfig(uniqueness="row_tag")),
    "es_bulk": lambda: EsBulkFormat(EsBulkFormatConfig()),
}


def pool(rng, kind):
    """Return values of a type, those at its borders among them, and nulls."""
    drawn = rng.integers(-(2**63), 2**63 - 1, 300, endpoint=True)
    if pa.types.is_integer(kind):
        wide = pa.uint64() if pa.types.is_unsigned_integer(kind) else pa.int64()
        shifted = drawn.astype(wide.to_pandas_dtype()) >> rng.integers(0, 64, 300).astype(np.uint8)
        info = np.iinfo(kind.to_pandas_dtype())
        return pa.array([None, info.min, info.max, *shifted.astype(info.dtype).tolist()], kind)
    if pa.types.is_timestamp(kind):
        shifted = drawn >> rng.integers(8, 20, 300)
        recent = rng.integers(1_777_881_600, 1_777_881_700, 100) * 10**6
        inside = np.clip(shifted, _YEAR_0 * 10**6, _YEAR_10000 * 10**6 - 1)
        return pa.array([None, *inside.tolist(), *recent.tolist()], pa.timestamp("us")).cast(
            kind, safe=False
        )
    words = [None, "", *ODD, *map(chr, range(128)), *(f"10.0.{n}.{n}" for n in range(100))]
    if pa.types.is_map(kind):
        picked = rng.integers(1, len(words), (200, 4))
        return pa.array(
            [None, [], *([(words[a], words[b]), (words[c], None)] for a, b, c, _ in picked)], kind
        )
    return pa.array(words, kind)


def test_many_rows():
    rng = np.random.default_rng(7)
    some = [*SIGNED, pa.uint16(), pa.uint64(), pa.timestamp("us"), pa.timestamp("us", "UTC")]
    kinds = [*some, pa.timestamp("ms", "UTC"), pa.string(), pa.map_(pa.string(), pa.string())]
    size = min(ROWS, 30_000)
    for _ in range(0, ROWS, size):
        columns = {}
        for number in range(12):
            distinct = pool(rng, kinds[rng.integers(len(kinds))])
            codes = pa.array(rng.integers(0, rng.integers(1, len(distinct), endpoint=True), size))
            coded = number % 3 == 0 and not pa.types.is_map(distinct.type)
            taken = (
                pa.DictionaryArray.from_arrays(codes, distinct) if coded else distinct.take(codes)
            )
            columns[f"c{number}"] = taken.slice(7) if rng.integers(2) else taken.slice(0, size - 7)
        batch = pa.RecordBatch.from_pydict(columns)
        for name in ("jsonl", "jsonl with nulls", "csv"):
            assert_same(FORMATS[name], batch)
        flat = [name for name in batch.schema.names if not pa.types.is_map(batch.column(name).type)]
        times = pa.array(rng.integers(0, 2**51, batch.num_rows), pa.timestamp("us"))
        rows = batch.select(flat).append_column("start_time", times)
        config = InfluxFormatConfig(tags=flat[:2], fields=flat[2:], uniqueness="none")
        assert_same(lambda config=config: InfluxFormat(config), rows)


class TestFormatContract(FormatContract):
    """What every format owes, with the accelerator."""

    @pytest.fixture(autouse=True, params=FORMATS)
    def chosen(self, request):
        self.name = request.param
        with accelerated(NATIVE):
            yield

    def make(self, schema):
        made = FORMATS[self.name]()
        made.bind(schema)
        return made


@pytest.mark.parametrize("name", FORMATS)
def test_flows_and_hostile_rows(name):
    start = 1_772_323_200_000_000
    good = {"start_time": start, "end_time": start, "source_uri": "file:///a", "bytes": 1}
    hostile = hostile_rows(FLOW_SCHEMA, good)
    whole = flow_batch(3000)
    for batch in (whole, whole.slice(7, 900), whole.slice(5, 0), hostile, hostile.slice(3)):
        assert_same(FORMATS[name], batch)
    for row in range(0, hostile.num_rows, 23):
        assert_same(FORMATS[name], hostile.slice(row, 1))


def test_a_batch_that_is_too_large_for_one_array_is_encoded_in_parts(monkeypatch):
    monkeypatch.setattr("ktrans.kit.rows.pieces.MAX_JOINED_BYTES", 3000)
    for make in FORMATS.values():
        assert_same(make, flow_batch())


# --- the joiner itself ---


@st.composite
def parts(draw, rows):
    """A part of rows, and its text in each of them."""
    before, after, absent = draw(st.tuples(WORDS, WORDS, WORDS))
    around = {"before": before, "after": after, "absent": absent}
    kind = draw(st.sampled_from(["str", "coded", "plain", "numbers"]))
    if kind == "str":
        return before, [before] * rows
    if kind == "numbers":
        cells = draw(st.lists(st.none() | integers(64, 0), min_size=rows, max_size=rows))
        part = Numbers(pa.array(cells, pa.uint64()), **around)
    elif kind == "plain":
        cells = draw(st.lists(st.none() | WORDS, min_size=rows, max_size=rows))
        part = Plain(pa.array(["left out", *cells], pa.string())[1:], **around)
    else:
        distinct = draw(st.lists(st.none() | WORDS, min_size=1, max_size=9))
        code = st.integers(0, len(distinct) - 1)
        codes = draw(st.lists(code, min_size=rows, max_size=rows))
        texts = pa.array(["left out", *distinct], pa.string())[1:]
        part = Coded(np.array(codes, np.int32), texts, **around)
        cells = [distinct[code] for code in codes]
    return part, [absent if cell is None else f"{before}{cell}{after}" for cell in cells]


@BATCHES
@given(
    st.integers(0, 50).flatmap(
        lambda rows: st.tuples(st.just(rows), st.lists(parts(rows), max_size=6))
    )
)
def test_parts_are_joined_row_by_row(made):
    rows, pairs = made
    expected = ["".join(texts[row] for _, texts in pairs) for row in range(rows)]
    for accelerator in (None, NATIVE):
        with accelerated(accelerator):
            found = joined([part for part, _ in pairs], rows)
        found.validate(full=True)
        assert found.type == pa.string()
        assert found.to_pylist() == expected
    limit = max_bytes([part for part, _ in pairs], rows)
    assert limit >= sum(len(text.encode()) for text in expected)


def test_buffers_may_begin_anywhere():
    data = b"x" + np.array([-1, 2, 3], np.int64).tobytes()
    odd = pa.Array.from_buffers(pa.int64(), 3, [None, pa.py_buffer(data)[1:]])
    assert NATIVE.join([Numbers(odd[1:], before="<", after=">")], 2).to_pylist() == ["<2>", "<3>"]


def test_parts_that_do_not_fit_are_an_error():
    texts = pa.array(["a", "b"])
    for part in (
        Coded(np.array([0, 2], np.int32), texts),
        Coded(np.array([0, -1], np.int32), texts),
        Coded(np.array([0], np.int32), texts),
        Plain(texts[1:]),
        Numbers(pa.array([1], pa.int8())),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            join([part], 2)
