"""Regular expressions, prefixes of addresses, lists of prefixes in files, and the epoch's time."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from ktrans.expressions import ExpressionError, compile_expression, files_of
from ktrans.expressions.epoch_time import epoch_time
from ktrans.testing.hostile import TEXTS

TEXT = pa.dictionary(pa.int32(), pa.string())
ADDRESSES = [
    "10.1.2.3",
    "10.1.2.4",
    None,
    "2001:db8:1:2::3",
    "bad",
    "::ffff:10.9.9.9",
    "",
    "10.1.2.3",
]


@pytest.fixture(params=[TEXT, pa.string()])
def batch(request):
    return pa.record_batch({"a": pa.array(ADDRESSES, pa.string()).cast(request.param)})


def values(text, batch, folder="."):
    found = compile_expression(text, batch.schema, folder=Path(folder)).evaluate(batch)
    found.validate(full=True)
    return found.to_pylist()


def problem(text, folder="."):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, pa.schema({"a": TEXT, "n": pa.int64()}), folder=Path(folder))
    return caught.value


def test_addresses_are_cut_to_their_prefix(batch):
    assert values("ip_prefix(a, 23, 32)", batch) == [
        "10.1.2.0/23", "10.1.2.0/23", None, "2001:db8::/32", None, "10.9.8.0/23", None, "10.1.2.0/23",
    ]  # fmt: skip
    assert values("ip_prefix(a, 0)", batch)[:4] == ["0.0.0.0/0"] * 2 + [None, "2001:db8:1:2::/64"]
    assert values("ip_prefix(a, 32, 61)", batch)[:4] == [
        "10.1.2.3/32", "10.1.2.4/32", None, "2001:db8:1::/61",
    ]  # fmt: skip
    assert values("ip_prefix('8.8.8.8', 8)", batch) == ["8.0.0.0/8"] * 8
    assert "33" in problem("ip_prefix(a, 33)").problem
    assert "must be a constant" in problem("ip_prefix(a, n)").problem


def test_regular_expressions_extract_and_replace():
    texts = ["web-12.prod", "12", None, "", "db-7.dev\nweb-3.x", "é-1.ü"]
    batch = pa.record_batch({"a": pa.array(texts).dictionary_encode()})
    assert values("regexp_extract(a, '[0-9]+')", batch) == ["12", "12", None, None, "7", "1"]
    assert values("regexp_extract(a, '-([0-9]+)[.](.+)', 2)", batch) == [
        "prod", None, None, None, "dev", "ü",
    ]  # fmt: skip
    assert values("regexp_extract(a, '(?m)^web-(.)', 1)", batch) == [
        "1",
        None,
        None,
        None,
        "3",
        None,
    ]
    assert values("regexp_extract(a, '(z)?1', 1)", batch) == ["", "", None, None, None, ""]
    assert values(r"regexp_replace(a, '([0-9])[0-9]*', '<\1>')", batch) == [
        "web-<1>.prod", "<1>", None, "", "db-<7>.dev\nweb-<3>.x", "é-<1>.ü",
    ]  # fmt: skip
    assert "the pattern has no group 1" in problem("regexp_extract(a, '[0-9]', 1)").problem
    assert "no group" in problem(r"regexp_replace(a, 'x', '\1')").problem
    assert problem("regexp_extract(a, 'x(')").position == 18
    assert "0 for the whole match" in problem("regexp_extract(a, 'x', 10)").problem


def test_hostile_texts_do_not_fail():
    batch = pa.record_batch({"a": pa.array(TEXTS, pa.string()).cast(TEXT)})
    for text in ("regexp_extract(a, '(.)x?', 1)", "regexp_replace(a, '.', 'y')", "ip_prefix(a, 8)"):
        assert len(values(text, batch)) == len(TEXTS)


def test_prefixes_come_from_a_file(tmp_path, batch):
    (tmp_path / "nets.txt").write_text(
        "# ours\n10.1.2.3\n\n  2001:db8::/32  # lab\n10.8.0.0/13 ; SBL1\n"
    )
    assert values("in_cidr(a, file('nets.txt'))", batch, tmp_path) == [
        True, False, None, True, None, True, None, True,
    ]  # fmt: skip
    assert values("in_cidr(a, '10.1.2.4', file('nets.txt'))", batch, tmp_path)[1] is True
    assert files_of("in_cidr(a, file('x')) or in_cidr(a, File ('y'))") == {"x", "y"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"10.0.0.0/8\nhere\n", "nets.txt:2: 'here' is not an address or prefix"),
        (b"10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        (b"# nothing\n", "has no prefix"),
        (b"\xff\xfe", "is not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_wrong_list_is_named_with_its_place(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "nets.txt").write_bytes(content)
    found = problem("n > 1 and in_cidr(a, file('nets.txt'))", tmp_path)
    assert expected in found.problem
    assert found.position == 21


def test_values_come_from_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("# hosts\n10.1.2.3\n  # more\n bad \n")
    (tmp_path / "paths.csv").write_text('from,to\nweb, db\n"a,b",c\n# x,y\n')
    (tmp_path / "ports.txt").write_text("443\n-1\n")
    batch = pa.record_batch(
        {
            "a": pa.array(["10.1.2.3", "bad", None, "web"], TEXT),
            "b": pa.array(["x", "c", "db", "db"], TEXT),
            "n": pa.array([443, 44, None, -1], pa.int32()),
        }
    )
    assert values("a in file('names.txt')", batch, tmp_path) == [True, True, None, False]
    assert values("a not in file('names.txt')", batch, tmp_path) == [False, False, None, True]
    assert values("n in file('ports.txt')", batch, tmp_path) == [True, False, None, True]
    pairs = "a || ',' || b in file('paths.csv')"
    assert values(pairs, batch, tmp_path) == [False, False, None, True]
    assert files_of(f"n > 0 and {pairs}") == {"paths.csv"}
    assert (
        "'10.1.2.3' in the file is not an int"
        in problem("n in file('names.txt')", tmp_path).problem
    )
    (tmp_path / "ports.txt").write_text("443\n+80\n")
    assert "'+80' in the file is not an int" in problem("n in file('ports.txt')", tmp_path).problem
    (tmp_path / "paths.csv").write_text("from,to\na,b,c\n")
    assert "3 cells, the header has 2" in problem("a in file('paths.csv')", tmp_path).problem
    (tmp_path / "paths.csv").write_text("from,to\n")
    assert "has no row" in problem("a in file('paths.csv')", tmp_path).problem
    assert "expected '(' or file(...)" in problem("a in b").problem


@pytest.mark.parametrize(
    "text",
    [
        "a in (file('x'))",
        "a in (file('x'), 'y')",
        "file('x')",
        "a = file('x')",
        "in_cidr(file('x'), '::/0')",
        "in_cidr(a, file(a))",
    ],
)
def test_a_list_is_only_for_in_cidr(text):
    assert "file" in problem(text).problem


def test_now_is_when_the_epoch_was_planned(batch):
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    compiled = compile_expression("now()", batch.schema)
    with epoch_time(noon):
        assert compiled.evaluate(batch).to_pylist() == [noon] * 8
        assert values("now() > '2026-01-01'", batch) == [True] * 8
        assert values("date_trunc('day', now()) = now()", batch) == [False] * 8
        assert values("epoch(now()) - 43200", batch)[0] == 1767225600.0
    assert compiled.evaluate(batch).to_pylist()[0] > noon
    assert "now()" in problem("now(1)").problem
