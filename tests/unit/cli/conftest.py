"""A pipeline file with logs to read, and the command line as a function."""

from __future__ import annotations

import json
import types

import pytest

from ktrans.cli.failures import guarded
from ktrans.cli.root import cli

HEAD = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
START = 1_767_225_600  # 2026-01-01T00:00:00Z
GOOD = [
    f"2 111122223333 eni-0aa 10.0.0.{n} 10.1.0.1 {40000 + n} 443 6 3 {100 * n} {START + n} "
    f"{START + n + 60} {'ACCEPT' if n % 2 else 'REJECT'} OK"
    for n in range(1, 9)
]
BAD = "2 111122223333 eni-0aa 10.0.0.9 10.1.0.1 1 443 6 lots 1 1767225600 1767225660 ACCEPT OK"
QUIET = f"2 111122223333 eni-0aa - - - - - - - {START} {START + 60} - NODATA"

PIPELINE = """\
name: demo
source: {type: file, paths: [logs/]}
decoder: {type: aws_vpc}
enrichers:
  - {type: filter, where: "action = 'reject' or bytes > 0"}
sinks:
  - {type: file, path: "out/date={start_time:%Y-%m-%d}/", format: {type: parquet, compression: zstd}}
  - {id: lines, type: file, path: out-lines/, format: {type: jsonl}, where: "action = 'reject'",
     columns: [start_time, bytes]}
rejects: {type: file, path: rejects/, limit: {ratio: 1.0}}
"""


@pytest.fixture
def lines():
    """Lines of a log: its header, eight good records, and one bad record."""
    return types.SimpleNamespace(head=HEAD, good=GOOD, bad=BAD)


@pytest.fixture
def add_bad_line(project):
    """Add a log with a good record and a bad one, when called."""

    def add():
        (project / "logs/two.log").write_text("\n".join([HEAD, GOOD[0], BAD]) + "\n")

    return add


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a pipeline file and one log; it is the working folder."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "one.log").write_text("\n".join([HEAD, *GOOD, QUIET]) + "\n")
    (tmp_path / "demo.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ktrans(capfd):
    """Call the command line; gives exit code, stdout and stderr."""

    def call(*arguments: str):
        capfd.readouterr()
        code = guarded(cli, list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def ktrans_json(ktrans):
    """Call the command line with --json; gives exit code and what stdout says."""

    def call(*arguments: str):
        code, out, _err = ktrans(*arguments, "--json")
        return code, json.loads(out)

    return call
