"""What `docs/security.md` says of hostile logs and files holds for whole commands, from outside."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ESCAPE = "\x1b]0;title\x07\x1b[31m"
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start "
    "end action log-status\n"
)
GOOD = "2 {0} {1} 10.0.0.1 10.0.0.2 1 2 6 1 40 1767225600 1767225660 ACCEPT OK\n"
PIPELINE = """
name: hostile
source: {type: file, paths: [logs/], tail_wait: 0}
sinks:
  - {id: out, type: file, path: "out/{account_id}/{interface_id}/", format: {type: csv}}
rejects: {type: file, path: rejects/}
"""


def ktrans(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "ktrans", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture
def hostile(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = GOOD.format(f"{ESCAPE}red", "../../../etc") + f"{ESCAPE} no record\n"
    (logs / f"a{ESCAPE.replace('/', '')}.log").write_text(HEADER + lines)
    (logs / "torn\x1b[5m.gz").write_bytes(b"\x1f\x8b\x08\x00nothing")
    return tmp_path


def test_no_command_hands_control_characters_of_logs_to_a_terminal(hostile):
    said = ""
    for command in (
        ("validate", "--connect", "pipeline.yaml"),
        ("plan", "pipeline.yaml"),
        ("preview", "pipeline.yaml"),
        ("run", "--summary", "-v", "--log-format", "text", "pipeline.yaml"),
        ("rejects", "list", "pipeline.yaml"),
        ("rejects", "show", "pipeline.yaml"),
        ("state", "show", "pipeline.yaml"),
    ):
        done = ktrans(hostile, *command)
        said += done.stdout + done.stderr
    assert "no record" in said, said
    assert {char for char in said if not char.isprintable()} <= {"\n"}


def test_values_of_logs_name_no_folder_outside_of_the_sinks(hostile):
    ktrans(hostile, "run", "pipeline.yaml")
    written = [path for path in hostile.rglob("*.csv") if path.is_file()]
    assert written
    assert all(path.is_relative_to(hostile / "out") for path in written)
    assert not any(path.name == "etc" for path in hostile.parent.glob("*"))


def test_tags_in_a_pipeline_file_run_nothing(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\nsource: !!python/object/apply:os.mkdir [made]\nsinks: [{type: blackhole}]\n"
    )
    assert ktrans(tmp_path, "validate", "p.yaml").returncode == 78
    assert not (tmp_path / "made").exists()


def test_what_ktrans_keeps_is_its_users_alone(hostile):
    program = "import os,sys; os.umask({}); from ktrans.cli import main; main(sys.argv[1:])"
    run = [sys.executable, "-c", program.format("0o022"), "run", "pipeline.yaml"]
    subprocess.run(run, cwd=hostile, check=False)
    assert stat.S_IMODE((hostile / ".ktrans").stat().st_mode) == 0o700
    shutil.rmtree(hostile / ".ktrans")
    shutil.rmtree(hostile / "rejects")
    run[2] = program.format("0o077")
    subprocess.run(run, cwd=hostile, check=False)
    kept = [*(hostile / ".ktrans").rglob("*"), *(hostile / "rejects").rglob("*")]
    assert kept
    for path in kept:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_pattern_that_would_take_others_forever_takes_no_time(tmp_path):
    """RE2 does not go back: the time goes with the length of the text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    assert pc.match_substring_regex(pa.array(["a" * 100_000 + "!"]), "(a+)+$")[0].as_py() is False


def test_a_connection_that_says_nothing_is_closed(monkeypatch):
    import socket
    import threading

    from ktrans.observe import status_server

    monkeypatch.setattr(status_server._Handler, "timeout", 0.2)
    server = status_server._Server(("127.0.0.1", 0), None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with socket.create_connection(server.server_address, timeout=60) as silent:
            assert silent.recv(1) == b""
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_packages_that_the_core_stands_on_are_the_ones_named():
    told = (ROOT / "docs/security.md").read_text()
    tree = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [re.match(r"[\w.-]+", text)[0] for text in tree["project"]["dependencies"]]
    assert len(names) == 14, "the page says fourteen"
    assert f"fourteen packages: {', '.join(names)}," in " ".join(told.split())
