"""`ktrans test`: pipelines are tested like code."""

import json

import pytest
from click.testing import CliRunner

from ktrans.cli.root import cli

PIPELINE = """
name: p
source: {{type: file, paths: [nowhere/]}}
decoder: {{type: aws_vpc}}
enrichers:
  - {{type: derive, columns: {{bits: bytes * 8}}}}
sinks:
  - {{id: lake, type: file, path: out/}}
  - {{id: refused, type: file, path: refused/, where: action = 'reject', columns: [bytes]}}
tests:
{tests}
"""
HEAD = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
GOOD = "2 111122223333 eni-1 10.0.0.1 10.0.0.2 443 40000 6 2 {n} 1767225600 1767225660 {action} OK"


@pytest.fixture
def config(tmp_path):
    def write(tests):
        path = tmp_path / "p.yaml"
        indented = "".join(f"  {line}\n" for line in tests.strip("\n").splitlines())
        path.write_text(PIPELINE.format(tests=indented))
        return path

    return write


def lines(*more):
    return "".join(f"    {line}\n" for line in (HEAD, *more))


def ran(path, *args):
    result = CliRunner().invoke(cli, ["test", *args, str(path)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout


TWO = lines(GOOD.format(n=52, action="ACCEPT"), GOOD.format(n=60, action="REJECT"))


def test_rows_after_each_kind_of_stage(config):
    path = config(f"""
- name: decoder
  after: decoder
  input: |
{TWO}
  rows: [{{bytes: 52, start_time: 2026-01-01T00:00:00Z, tcp_flags: null}}, {{action: reject}}]
- name: enricher
  input: |
{TWO}
  rows: [{{bits: 416}}, {{bits: 480}}]
- name: sink
  after: refused
  input: |
{TWO}
  rows: [{{bytes: 60}}]
  count: 1
""")
    code, text = ran(path)
    assert code == 0, text
    assert "3 passed, 0 failed" in text


def test_a_wrong_value_is_shown_in_a_table_with_row_and_column(config):
    path = config(f"""
- name: bits
  input: |
{TWO}
  rows: [{{bits: 416, src_addr: 10.0.0.9}}, {{bits: 480, nothing: 1}}]
""")
    code, text = ran(path)
    assert code == 1
    assert "0 passed, 1 failed" in text
    rows = [line.split(maxsplit=3) for line in text.splitlines()]
    assert ["1", "src_addr", "10.0.0.9", "10.0.0.1"] in rows
    assert ["2", "nothing", "1", "no such column"] in rows
    result = json.loads(ran(path, "--json")[1])
    assert (result["passed"], result["failed"]) == (0, 1)


def test_rejects_have_to_be_expected(config):
    bad = lines(GOOD.format(n="many", action="ACCEPT"))
    test = f"- name: bad\n  count: 0\n  input: |\n{bad}"
    code, text = ran(config(test))
    assert code == 1
    assert "rejects" in text
    code, text = ran(config(test + "  rejects: [{source_pos: 2, reason: bad_integer}]\n"))
    assert code == 0, text


def test_tests_may_lie_beside_the_pipeline_and_their_input_in_files(config, tmp_path):
    path = config("- {name: a, input: '', count: 0}")
    (tmp_path / "sample.log").write_text(f"{HEAD}\n{GOOD.format(n=7, action='ACCEPT')}\n")
    (tmp_path / "p.tests.yaml").write_text("- {name: b, file: sample.log, rows: [{bytes: 7}]}\n")
    code, text = ran(path)
    assert code == 0, text
    assert "2 passed" in text


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("- {name: a, count: 1}", "`input` or `file`"),
        ("- {name: a, input: ''}", "expects something"),
        ("- {name: a, input: '', cuont: 1}", "count"),
        ("- {name: a, file: absent.log, count: 1}", "absent.log"),
        ("- {name: a, input: '', count: 1, after: nowhere}", "nowhere"),
    ],
)
def test_a_test_that_is_wrong_itself_says_what_is_wrong(config, test, said):
    with pytest.raises(Exception) as caught:
        ran(config(test))
    assert said in f"{caught.value} {getattr(caught.value, 'hint', '')}"
