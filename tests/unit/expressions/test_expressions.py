"""The expression language: values, nulls, types, and errors that point at the text."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from ktrans.expressions import (
    ExpressionError,
    columns_of,
    compile_expression,
    function_names,
    parse,
)

TEXT = pa.dictionary(pa.int32(), pa.string())
TOP = 2**63 - 1


@pytest.fixture
def batch() -> pa.RecordBatch:
    noon = dt.datetime(2026, 1, 1, 12, 30, 5, tzinfo=dt.UTC)
    return pa.record_batch(
        {
            "src_addr": pa.array(["10.0.0.1", "8.8.8.8", None, "fd00::1", "bad"], TEXT),
            "action": pa.array(["accept", "reject", "accept", None, "drop"], TEXT),
            "dst_port": pa.array([443, 53, None, 22, 80], pa.int32()),
            "bytes": pa.array([100, TOP, 0, None, -5]),
            "packets": pa.array([1, 0, None, 2, 3]),
            "ratio": pa.array([0.5, 2.5, None, -1.5, 1e300]),
            "start_time": pa.array([noon] * 4 + [None], pa.timestamp("us", "UTC")),
            "attrs": pa.array(
                [[("a", "1")], [("b", "2"), ("a", "x")], None, [], [("a", " 7 ")]],
                pa.map_(pa.string(), pa.string()),
            ),
            "blob": pa.array([b"x"] * 5),
        }
    )


def values(text: str, batch: pa.RecordBatch) -> list:
    expression = compile_expression(text, batch.schema)
    result = expression.evaluate(batch)
    result.validate(full=True)
    assert result.type == expression.type
    return result.to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("action = 'reject' and bytes > 0", [False, True, False, None, False]),
        ("bytes + 1", [101, None, 1, None, -4]),
        ("bytes * 2", [200, None, 0, None, -10]),
        ("-5 - bytes", [-105, None, -5, None, 0]),
        ("bytes / packets", [100.0, None, None, None, -5 / 3]),
        ("bytes % packets", [0, None, None, None, -2]),
        ("7 % -2", [1] * 5),
        ("in_cidr(src_addr, '10.0.0.0/8', 'fc00::/7')", [True, False, None, True, None]),
        ("attr('a')", ["1", "x", None, None, " 7 "]),
        ("cast(attrs['a'] as int)", [1, None, None, None, 7]),
        ("src_addr || ':' || dst_port", ["10.0.0.1:443", "8.8.8.8:53", None, "fd00::1:22", "bad:80"]),
        ("case action when 'accept' then 1 when 'reject' then 2.5 end", [1.0, 2.5, 1.0, None, None]),
        ("case when bytes > 0 then 'some' else 'none' end", ["some", "some", "none", "none", "none"]),
        ("coalesce(action, 'unknown')", ["accept", "reject", "accept", "unknown", "drop"]),
        ("epoch(start_time)", [1767270605.0] * 4 + [None]),
        ("start_time >= '2026-01-01'", [True] * 4 + [None]),
        ("start_time = timestamp '2026-01-01T13:30:05+01:00'", [True] * 4 + [None]),
        ("action not in ('accept', null)", [False, None, False, None, None]),
        ("dst_port between 22 and 80", [False, True, None, True, True]),
        ("least(bytes, packets, dst_port)", [1, 0, 0, 2, -5]),
        ("round(ratio, 15)", [0.5, 2.5, None, -1.5, 1e300]),
        ("substr(action, 2, 9223372036854775807)", ["ccept", "eject", "ccept", None, "rop"]),
        ("abs(bytes) - 1", [99, TOP - 1, -1, None, 4]),
        ("round(ratio)", [1.0, 3.0, None, -2.0, 1e300]),
        ("round(bytes / 3, 2)", [33.33, 3.0744573456182584e18, 0.0, None, -1.67]),
        ("cast(ratio as int)", [0, 2, None, -2, None]),
        ("substr(action, 2, 3)", ["cce", "eje", "cce", None, "rop"]),
        ("'it''s'", ["it's"] * 5),
        ("action like 'a%' escape '!'", [True, False, True, None, False]),
        ("'100%' like '100!%' escape '!'", [True] * 5),
        ("regexp_matches(action, '^(re|dr)')", [False, True, False, None, True]),
        ("NOT (action IS NULL)", [True, True, True, False, True]),
        ('"action" = \'drop\'', [False, False, False, None, True]),
        ("not not bytes > 0", [True, True, False, None, False]),
        ("cast(dst_port as text) = '53'", [False, True, None, False, False]),
        ("cast('99999999999999999999' as int)", [None] * 5),
        ("cast('0x1F' as int)", [None] * 5),
        ("cast('TRUE' as bool)", [True] * 5),
        ("-9223372036854775808", [-(2**63)] * 5),
        ("length('grüß')", [4] * 5),
    ],
)  # fmt: skip
def test_values(batch, text, expected):
    assert values(text, batch) == expected


def test_date_trunc(batch):
    hour = values("date_trunc('hour', start_time)", batch)[0]
    assert hour == dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def test_a_bare_column_keeps_its_type_and_costs_nothing(batch):
    expression = compile_expression("dst_port", batch.schema)
    assert expression.type == pa.int32()
    assert expression.evaluate(batch).equals(batch["dst_port"])


def test_text_results_are_dictionaries_without_repeats(batch):
    result = compile_expression("substr(action, 1, 0)", batch.schema).evaluate(batch)
    assert result.type == TEXT
    assert result.dictionary.to_pylist() == [""]


@pytest.mark.parametrize(
    "kind", [TEXT, pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.large_string()]
)
def test_every_kind_of_text_column(kind):
    texts = ["b", None, "a", "b"] * 50
    plain = pa.array(texts)
    column = (
        plain.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else plain.cast(kind)
    )
    batch = pa.record_batch({"x": column})
    expected = [None if t is None else t.upper() for t in texts]
    assert values("upper(x)", batch) == expected
    assert values("coalesce(x, 'z') = 'z'", batch) == [t is None for t in texts]


def test_dictionaries_with_unused_and_null_values():
    column = pa.DictionaryArray.from_arrays(
        pa.array([0, 2, None, 0, 1, 2] * 3, pa.int32()), pa.array(["a", None, "b", "unused"])
    )
    batch = pa.record_batch({"x": column})
    assert values("x || '!'", batch)[:6] == ["a!", "b!", None, "a!", None, "b!"]
    assert values("x is null", batch)[:6] == [False, False, True, False, True, False]


def test_a_full_int8_dictionary_with_nulls():
    texts = [str(i) for i in range(128)]
    indices = pa.array([*range(128), None] * 2, pa.int8())
    batch = pa.record_batch({"x": pa.DictionaryArray.from_arrays(indices, pa.array(texts))})
    assert values("coalesce(x, 'none')", batch)[126:130] == ["126", "127", "none", "0"]


def test_integers_and_times_of_other_widths():
    batch = pa.record_batch(
        {
            "u": pa.array([1, 2**64 - 1], pa.uint64()),
            "f": pa.array([0.5, None], pa.float32()),
            "t": pa.array([1, 2], pa.timestamp("s")),
        }
    )
    assert values("u + 1", batch) == [2, None]
    assert values("f * 2", batch) == [1.0, None]
    assert values("epoch(t)", batch) == [1.0, 2.0]


def test_slices_and_empty_batches(batch):
    for text in ("action = 'accept'", "lower(src_addr)", "attr('a')", "bytes % 3", "1", "'x'"):
        whole = values(text, batch)
        assert values(text, batch.slice(1, 3)) == whole[1:4]
        assert values(text, batch.slice(0, 0)) == []


def test_the_extremes_of_times_and_of_nothing(batch):
    early, noon = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), batch["start_time"][0].as_py()
    assert values("least(start_time, start_time)", batch) == [noon] * 4 + [None]
    assert values("least(start_time, timestamp '2020-01-01')", batch) == [early] * 5
    assert values("greatest(timestamp '2020-01-01', null)", batch) == [early] * 5
    assert values("greatest(start_time, '2020-01-01')", batch) == [noon] * 4 + [early]
    assert values("least(null, null)", batch) == [None] * 5


def test_numbers_of_any_size_are_rounded():
    numbers = [1e308, -1e308, float("inf"), 2.0**53 + 2, -2.675, 0.5, None]
    batch = pa.record_batch({"n": pa.array(numbers)})
    assert values("round(n, 15)", batch) == numbers
    assert values("round(n, 2)", batch) == [*numbers[:4], -2.68, 0.5, None]
    assert values("round(n)", batch) == [*numbers[:4], -3.0, 1.0, None]


def test_columns_of_needs_no_schema():
    text = "a + b > 2 and attr('x') = c || 'd' and \"in\" is null"
    assert columns_of(text) == {"a", "b", "attrs", "c", "in"}
    parse(text)


@pytest.mark.parametrize(
    ("text", "position", "problem", "hint"),
    [
        ("src_adr = 'x'", 0, "unknown column 'src_adr'", "did you mean 'src_addr'"),
        ("bytes = 'x'", 8, "= cannot mix int and text", "quotes"),
        ("lowr(action)", 0, "unknown function 'lowr'", "did you mean 'lower'"),
        ("bytes >", 7, "expected a value, found the end", None),
        ("bytes > 1 > 2", 10, "unexpected '>'", "do not chain"),
        ("action = 'x", 9, "this quote is never closed", None),
        ("(bytes", 6, "expected ')', found the end", None),
        ("in_cidr(src_addr, '10.0.0.1/8')", 18, "bits set after its length", None),
        ("regexp_matches(action, '(')", 23, "missing )", None),
        ("bytes && 2", 6, "unexpected character '&'", "write `and`"),
        ("bytes == 2", 6, "unexpected '=='", "a single ="),
        ("date_trunc('eon', start_time)", 11, "the unit 'eon' is not one of", None),
        ("cast(bytes as blob)", 14, "cannot cast to 'blob'", "the types are"),
        ("start_time - start_time", 11, "- does not compute with timestamp", "use epoch"),
        ("starts_with(action, src_addr)", 20, "must be a constant", "starts_with(text, 'prefix')"),
        ("attrs", 0, "a map is not a value", "attrs['name']"),
        ("blob = 'x'", 0, "column 'blob' has type binary", None),
        ("start_time > 'noon'", 13, "'noon' is not a time", "2026"),
        ("1" * 30, 0, "does not fit 64 bits", None),
        ("(" * 500, 32, "nested more than 32 deep", None),
        ("bytes and true", 0, "and takes bool, not int", None),
        ("bytes not 3", 10, "expected in, between or like after not", None),
        ("action in ()", 11, "expected a value", None),
        ("lower()", 0, "lower is written lower(text)", None),
        ("12ab", 2, "a number must end before a letter", None),
        ("attr(action)", 0, "attr takes one 'text' literal", None),
        ("action < 1", 9, "< cannot mix text and int", "quotes"),
        ("(bytes > 1) < true", 12, "< does not compare bool", None),
        ("null in (attrs)", 0, "in does not compare attrs", None),
        ("attrs in (null)", 0, "in does not compare attrs", None),
        ("case when true then null else attrs end", 0, "case cannot give a map", None),
    ],
)
def test_errors_point_at_the_place(batch, text, position, problem, hint):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, batch.schema)
    error = caught.value
    assert error.position == position
    assert problem in error.problem
    assert str(error).splitlines()[-1] == " " * (position + 2) + "^"
    assert hint is None or hint in (error.hint or "")


def test_long_chains_are_refused_not_overflowed(batch):
    with pytest.raises(ExpressionError, match="nested more than 100 deep"):
        compile_expression("+".join(["bytes"] * 5000), batch.schema)
    many = " or ".join(f"dst_port = {i}" for i in range(2000))
    assert values(many, batch) == [True, True, None, True, True]


def test_the_snippet_shows_the_right_line(batch):
    with pytest.raises(ExpressionError) as caught:
        compile_expression("bytes > 1\n  and nope = 2", batch.schema)
    assert str(caught.value).splitlines()[1:] == ["    and nope = 2", "        ^"]


def test_a_condition_must_be_boolean(batch):
    with pytest.raises(ExpressionError, match="this is an int, where a bool is needed"):
        compile_expression("bytes", batch.schema, require="bool")
    assert compile_expression("null", batch.schema, require="bool").type == pa.bool_()


def test_every_function_is_listed_with_its_usage():
    names = function_names()
    assert {"lower", "in_cidr", "date_trunc", "coalesce"} <= names.keys()
    assert all(usage.startswith(f"{name}(") for name, usage in names.items())
