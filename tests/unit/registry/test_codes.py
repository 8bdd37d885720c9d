"""Every code that can come up is explained, and nothing is explained that cannot come up."""

import ast
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ktrans.api import UsageError
from ktrans.cli.root import cli
from ktrans.registry.codes import meanings, sections

ROOT = Path(__file__).parents[3]
SOURCES = [*ROOT.glob("ktrans/**/*.py"), *ROOT.glob("plugins/*/ktrans_*/**/*.py")]
SOURCES = [path for path in SOURCES if not {"testing", "scaffold", "codes"} & set(path.parts)]


def codes_raised():
    """The texts that are given as `code=`, or are a class's default code."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code":
                parts = {
                    id(part)
                    for text in ast.walk(node.value)
                    if isinstance(text, ast.JoinedStr)
                    for part in text.values
                }
                values = [
                    n
                    for n in ast.walk(node.value)
                    if isinstance(n, ast.Constant) and id(n) not in parts
                ]
            elif isinstance(node, ast.AnnAssign) and "default_code" in ast.unparse(node.target):
                values = [node.value]
            else:
                continue
            for value in values:
                if isinstance(value.value, str) and re.fullmatch(r"[a-z][a-z_0-9]+", value.value):
                    found[value.value] = path.name
    return found


def test_every_code_is_explained():
    missing = {code: where for code, where in codes_raised().items() if code not in meanings()}
    assert missing == {}


def test_no_explanation_is_left_over():
    text = "\n".join(path.read_text() for path in SOURCES)
    assert [code for code in meanings() if f'"{code}"' not in text] == []


def test_each_has_a_cause_and_a_cure_in_whole_sentences():
    for meaning in meanings().values():
        assert meaning.cause.endswith((".", "?")), meaning.code
        assert meaning.cure.endswith((".", "?")), meaning.code
    assert sum(len(found) for found in sections().values()) == len(meanings())


def ran(*args):
    result = CliRunner().invoke(cli, ["explain", *args], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_a_code_is_explained_on_the_command_line():
    assert "rejects.limit" in ran("reject_limit")
    assert len(json.loads(ran("--json"))["codes"]) == len(meanings())


def test_a_misspelt_code_is_guessed():
    with pytest.raises(UsageError) as caught:
        ran("reject_limt")
    assert "reject_limit" in caught.value.hint
