"""`ktrans rejects export`: everything that was rejected, for other tools."""

import json

import pytest

GARBLED = b"2 \xff\xfe garbled"


@pytest.fixture
def rejected(project, lines, ktrans):
    """Run over a log with two kinds of bad records."""
    text = "\n".join([lines.head, lines.good[0], lines.bad]).encode()
    (project / "logs/bad.log").write_bytes(text + b"\n" + GARBLED + b"\n")
    assert ktrans("run", "demo.yaml")[0] == 0
    return lines.bad


def test_all_rejects_as_json_lines(project, ktrans, rejected):
    code, out, _ = ktrans("rejects", "export", "demo.yaml")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert sorted(one["reason"] for one in found) == ["bad_integer", "invalid_utf8"]
    assert {one["raw"] for one in found} == {rejected, None}
    assert all(one["source_uri"].endswith("bad.log") for one in found)


def test_the_bytes_as_they_came(project, ktrans, rejected):
    code, _, err = ktrans("rejects", "export", "demo.yaml", "--raw", "--output", "bad.log")
    assert code == 0
    assert "2 rejects in bad.log" in err
    assert sorted((project / "bad.log").read_bytes().splitlines()) == sorted(
        [rejected.encode(), GARBLED]
    )


def test_those_of_one_reason(project, ktrans, rejected):
    code, out, _ = ktrans("rejects", "export", "demo.yaml", "--raw", "--reason", "bad_integer")
    assert (code, out) == (0, rejected + "\n")


def test_a_file_that_cannot_be_made_is_said(project, ktrans, rejected):
    code, _, err = ktrans("rejects", "export", "demo.yaml", "--output", "nowhere/bad.log")
    assert code == 2
    assert "cannot write nowhere/bad.log" in err
    assert list(project.glob("**/*.part")) == []


def test_show_says_that_there_are_more(project, ktrans, rejected):
    code, out, err = ktrans("rejects", "show", "demo.yaml", "--limit", "1")
    assert code == 0
    assert out.count("  at   ") == 1
    assert "there are more" in err
    assert "there are more" not in ktrans("rejects", "show", "demo.yaml", "--limit", "2")[2]
