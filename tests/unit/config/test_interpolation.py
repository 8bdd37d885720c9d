"""What `${...}` stands for, and that it is never more than one text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.config.interpolate import Interpolator
from ktrans.config.load import load_pipeline
from tests.examples import examples


def fill(tree, environ=None, base_dir="/", secrets=None):
    filler = Interpolator(
        environ or {}, Path(base_dir), lambda scheme, ref: (secrets or {}).get((scheme, ref))
    )
    return filler.fill(tree), [problem.code for problem in filler.problems]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${env:A}", "1"),
        ("x${env:A}y${env:B}", "x1y"),
        ("${env:A:-other}", "1"),
        ("${env:B:-other}", "other"),
        ("${env:C:-other}", "other"),
        ("${env:C:-}", ""),
        ("${env:C:-a:-b}", "a:-b"),
        ("$$", "$"),
        ("$${env:A}", "${env:A}"),
        ("$$$$", "$$"),
        ("$$${env:A}", "$1"),
        ("^a$|b$", "^a$|b$"),
        ("$5 and $A", "$5 and $A"),
        ("${vault:a/b#c}", "s3cret"),
    ],
)
def test_references_are_filled_in(text, result):
    secrets = {("vault", "a/b#c"): "s3cret"}
    assert fill({"x": [text]}, {"A": "1", "B": ""}, secrets=secrets) == ({"x": [result]}, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("${HOME}", "bad_reference"),
        ("${}", "bad_reference"),
        ("${env:}", "bad_reference"),
        ("${env:A B}", "bad_reference"),
        ("${env:A", "bad_reference"),
        ("${env:NOPE}", "missing_env"),
        ("${file:/not/there}", "missing_file"),
        ("${file:/}", "missing_file"),
        ("${nope:x}", "unknown_scheme"),
    ],
)
def test_what_cannot_be_filled_in_is_a_problem(text, code):
    assert fill(text, {"A": "1"})[1] == [code]


@pytest.mark.parametrize(
    ("content", "value"),
    [("abc\n", "abc"), ("abc", "abc"), ("abc\r\n", "abc"), ("a\nb\n\n", "a\nb\n")],
)
def test_a_file_gives_its_text_without_the_last_newline(tmp_path, content, value):
    (tmp_path / "token").write_bytes(content.encode())
    assert fill("${file:token}", base_dir=tmp_path) == (value, [])
    assert fill(f"<${{file:{tmp_path}/token}}>") == (f"<{value}>", [])


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@settings(max_examples=examples(50), deadline=None)
@given(value=VALUES)
def test_a_value_is_one_text_whatever_it_holds(value):
    tree = {"a": "${env:V}", "b": ["<${env:V}>"], "c": {"d": 1}}
    filled, problems = fill(tree, {"V": value})
    assert filled == {"a": value, "b": [f"<{value}>"], "c": {"d": 1}}
    assert problems == []


@settings(max_examples=examples(50), deadline=None)
@given(value=VALUES)
def test_doubling_every_dollar_gives_any_text_back(value):
    assert fill({"a": value.replace("$", "$$")}) == ({"a": value}, [])


@settings(max_examples=examples(50), deadline=None)
@given(text=st.text(alphabet="${}:-envA $x\n", max_size=30))
def test_any_text_is_filled_in_or_a_problem_and_never_a_crash(text):
    filled, problems = fill(text, {"A": "1"})
    assert isinstance(filled, str)
    if "${" not in text:
        assert problems == []


NASTY = [
    "a: b",
    "}\nsinks: []",
    "- x",
    "&a *a",
    "!!int 3",
    "'\"",
    "${env:OTHER}",
    "null",
    "\u2028# x",
]


@pytest.mark.parametrize("value", NASTY)
def test_a_value_brings_no_structure_into_the_file(write, catalogue, value):
    text = """\
source: {type: shop, paths: ["${env:V}"], region: "x${env:V}y"}
sinks: [{type: box, path: "${env:V}"}]
"""
    pipeline = load_pipeline(write(text), catalogue, environ={"V": value, "OTHER": "no"})
    assert pipeline.source.paths == [value]
    assert pipeline.source.region == f"x{value}y"
    assert pipeline.sinks[0].config.path == value


def test_options_of_any_type_take_texts_that_are_filled_in(write, catalogue):
    text = """\
source:
  type: shop
  paths: [x]
  depth: ${env:N}
  ratio: ${env:R}
  strict: ${env:B}
  order: ${env:O}
  token: ${vault:x}
sinks: [{type: box, path: y}]
"""
    environ = {"N": "7", "R": "0.25", "B": "true", "O": "time"}
    source = load_pipeline(write(text), catalogue, environ=environ).source
    assert (source.depth, source.ratio, source.strict, source.order) == (7, 0.25, True, "time")
    assert source.token.get_secret_value() == "secret of x"
    assert "secret" not in repr(source.token)
