"""Expressions agree with an independent SQL engine, nulls included, on random expressions."""

from __future__ import annotations

import datetime as dt
import math

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.expressions import compile_expression
from tests.examples import examples

TEXTS = ["", "a", "A", "ab", "Abc", "b%", "a_c", "it's", "x\ny", "\\", "é", "10", "-3", "7 "]
FLOATS = [0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.25, -7.75, 100.125]
TIMES = [
    dt.datetime.fromisoformat(text)  # without a zone: the other engine has none
    for text in ("2026-01-01T00:30:05.25", "2026-02-28T23:30:05.25", "2026-07-04T09:30:05.25")
]


def q(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def node(ours: str, *parts, duck: str | None = None):
    """Fill a template with (ours, duck) pairs, each in brackets."""
    return (
        ours.format(*(f"({p[0]})" for p in parts)),
        (duck or ours).format(*(f"({p[1]})" for p in parts)),
    )


def same(text: str):
    return (text, text)


small = st.integers(-9, 9).map(lambda i: same(str(i)))
nothing = st.just(same("null"))


def ints(depth: int):
    leaf = st.one_of(small, st.sampled_from(["i", "j"]).map(same))
    if depth == 0:
        return leaf
    sub, text, cond = ints(depth - 1), texts(depth - 1), bools(depth - 1)
    return st.one_of(
        leaf,
        st.builds(lambda o, a, b: node(f"{{}} {o} {{}}", a, b), st.sampled_from("+-*%"), sub, sub),
        st.builds(lambda a: node("-{}", a), sub),
        st.builds(lambda a: node("abs({})", a), sub),
        st.builds(lambda a: node("length({})", a), text),
        st.builds(lambda a: node("cast({} as int)", a, duck="try_cast({} as bigint)"), text),
        st.builds(
            lambda a: node("cast({} as int)", a, duck="cast({} as bigint)"), floats(depth - 1)
        ),
        st.builds(lambda a, b: node("coalesce({}, {})", a, b), sub, sub),
        st.builds(lambda a, b: node("least({}, {})", a, b), sub, sub),
        st.builds(
            lambda c, a, b: node("case when {} then {} else {} end", c, a, b), cond, sub, sub
        ),
        st.builds(lambda a, b, c: node("case {} when {} then {} end", a, b, c), sub, sub, sub),
    )


def floats(depth: int):
    leaf = st.one_of(
        st.just(same("f")),
        st.sampled_from(FLOATS).map(lambda v: (repr(v), f"cast({v!r} as double)")),
    )
    if depth == 0:
        return leaf
    sub = floats(depth - 1)
    return st.one_of(
        leaf,
        st.builds(lambda o, a, b: node(f"{{}} {o} {{}}", a, b), st.sampled_from("+-*"), sub, sub),
        st.builds(
            lambda a, b: node("{} / {}", a, b, duck="{} / nullif({}, 0)"),
            st.one_of(sub, ints(depth - 1)),
            ints(depth - 1),
        ),
        st.builds(lambda a: node("round({})", a), sub),
        st.builds(lambda a: node("floor({})", a), sub),
        st.builds(lambda a, b: node("greatest({}, {})", a, b), sub, sub),
        st.builds(lambda a: node("epoch({})", a), st.just(same("ts"))),
    )


def texts(depth: int):
    leaf = st.one_of(st.sampled_from(["s", "t"]).map(same), st.sampled_from(TEXTS).map(q).map(same))
    if depth == 0:
        return leaf
    sub, cond = texts(depth - 1), bools(depth - 1)
    return st.one_of(
        leaf,
        st.builds(lambda f, a: node(f"{f}({{}})", a), st.sampled_from(["lower", "upper"]), sub),
        st.builds(lambda a, b: node("{} || {}", a, b), sub, sub),
        st.builds(
            lambda a, n, m: node(f"substr({{}}, {n}, {m})", a),
            sub,
            st.integers(1, 3),
            st.integers(0, 3),
        ),
        st.builds(lambda a: node("replace({}, 'a', 'bb')", a), sub),
        st.builds(lambda a, b: node("coalesce({}, {})", a, b), sub, sub),
        st.builds(lambda a, b: node("greatest({}, {})", a, b), sub, sub),
        st.builds(lambda a: node("cast({} as text)", a), ints(depth - 1)),
        st.builds(
            lambda c, a, b: node("case when {} then {} else {} end", c, a, b), cond, sub, sub
        ),
    )


def bools(depth: int):
    leaf = st.sampled_from(["b", "true", "false"]).map(same)
    if depth == 0:
        return leaf
    sub, number, text = bools(depth - 1), ints(depth - 1), texts(depth - 1)
    compare = st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])
    negated = st.sampled_from(["", "not "])
    patterns = st.sampled_from(
        ["a%", "%b%", "_", "%\\%", "a_c", "%é", "", "x%y", "it's", "A%"]
    ).map(q)
    return st.one_of(
        st.just(same("b")),
        st.builds(lambda o, a, b: node(f"{{}} {o} {{}}", a, b), compare, number, number),
        st.builds(lambda o, a, b: node(f"{{}} {o} {{}}", a, b), compare, text, text),
        st.builds(lambda o, a, b: node(f"{{}} {o} {{}}", a, b), compare, floats(depth - 1), number),
        st.builds(lambda o, a, b: node(f"{{}} {o} {{}}", a, b), st.sampled_from(["and", "or"]), sub, sub),
        st.builds(lambda a: node("not {}", a), sub),
        st.builds(lambda a, n: node(f"{{}} is {n}null", a), st.one_of(number, text, sub), negated),
        st.builds(lambda n, a, b, c: node(f"{{}} {n}in ({{}}, {{}})", a, b, c), negated, text, text, st.one_of(text, nothing)),
        st.builds(lambda n, a, b, c: node(f"{{}} {n}in ({{}}, {{}}, 3)", a, b, c), negated, number, small, st.one_of(small, nothing)),
        st.builds(lambda n, a, b, c: node(f"{{}} {n}between {{}} and {{}}", a, b, c), negated, number, number, number),
        st.builds(lambda n, k, a, p: node(f"{{}} {n}{k} {p}", a), negated, st.sampled_from(["like", "ilike"]), text, patterns),
        st.builds(
            lambda f, a, p: node(f"{f}({{}}, {p})", a),
            st.sampled_from(["starts_with", "ends_with", "contains", "regexp_matches"]),
            text,
            st.sampled_from(["a", "b", "c", "1"]).map(q),
        ),
        st.builds(lambda u: same(f"date_trunc('{u}', ts) = ts"), st.sampled_from(["hour", "week", "month"])),
        st.builds(
            lambda o: (f"ts {o} '2026-02-28T23:30:05.250Z'", f"ts {o} timestamp '2026-02-28 23:30:05.25'"),
            compare,
        ),
    )  # fmt: skip


def maybe(values):
    return st.none() | st.sampled_from(values)


rows = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-9, 9),
            "j": st.none() | st.integers(-9, 9),
            "f": maybe(FLOATS),
            "s": maybe(TEXTS),
            "t": maybe(TEXTS),
            "b": maybe([True, False]),
            "ts": maybe(TIMES),
        }
    ),
    min_size=0,
    max_size=30,
)
TYPES = {
    "i": pa.int32(),
    "j": pa.int64(),
    "f": pa.float64(),
    "s": pa.string(),
    "t": pa.string(),
    "b": pa.bool_(),
    "ts": pa.timestamp("us"),
}


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set error_on_division_by_zero = false")
        yield connection


def as_batch(data) -> pa.RecordBatch:
    """Make the batch as decoders do: text as dictionaries, times in UTC."""
    batch = pa.RecordBatch.from_pylist(data, schema=pa.schema(list(TYPES.items())))
    batch = batch.set_column(3, "s", batch["s"].dictionary_encode())
    return batch.set_column(6, "ts", batch["ts"].cast(pa.timestamp("us", "UTC")))


def close(left, right) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)
    return left == right


@given(
    data=rows,
    pairs=st.lists(st.one_of(bools(3), ints(3), floats(2), texts(3)), min_size=4, max_size=8),
)
@settings(max_examples=examples(50), deadline=None)
def test_agrees_with_duckdb(engine, data, pairs):
    batch = as_batch(data)
    table = pa.Table.from_pylist(data, schema=pa.schema(list(TYPES.items())))
    engine.register("flows", table)
    selected = ", ".join(f"{duck} as c{i}" for i, (_, duck) in enumerate(pairs))
    expected = engine.execute(f"select {selected} from flows").fetchall()
    for i, (ours, _) in enumerate(pairs):
        expression = compile_expression(ours, batch.schema)
        result = expression.evaluate(batch)
        result.validate(full=True)
        assert result.type == expression.type
        got = result.to_pylist()
        want = [row[i] for row in expected]
        assert len(got) == len(want)
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            assert close(a, b), f"{ours}\nrow {data[k]}: {a!r}, DuckDB says {b!r}"
