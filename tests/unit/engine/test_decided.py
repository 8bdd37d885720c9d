"""An epoch that was decided comes out as it was decided, whatever is gone and whatever changed.

The crash matrix of docs/guarantees.md, in the pairs: what of the epoch is gone, and what of the
pipeline file was changed before the next run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from ktrans.api import ExitCode
from ktrans.kit.files import staging
from ktrans.sinks.stdout import StdoutSink
from ktrans.testing.world import Crash
from tests.unit.engine.log_site import FILES, LINES, Site

pytestmark = pytest.mark.slow

RENAMES = 3
"""The process dies at this rename of the commit: two files are published, the others staged."""


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def die_amid_the_commit(site, monkeypatch):
    count = 0

    def replace(source, target):
        nonlocal count
        count += ".ktrans-staging" in str(source)
        if count == RENAMES:
            raise Crash
        os.rename(source, target)  # noqa: PTH104

    with monkeypatch.context() as patch:
        patch.setattr(staging.os, "replace", replace)
        with pytest.raises(Crash):
            site.run()
    assert 0 < sum(site.rows("lake").values()) < FILES * LINES


def remove_stage(*sinks):
    def remove(site):
        for sink in sinks:
            shutil.rmtree(site.folder / sink / ".ktrans-staging")

    return remove


def remove_published(site):
    paths = [path for path in (site.folder / "lake").glob("*/p.*") if path.is_file()]
    assert len(paths) == RENAMES - 1
    paths[0].unlink()


GONE = {
    "nothing": lambda _site: None,
    "what one sink staged": remove_stage("lines"),
    "what all sinks staged": remove_stage("lake", "lines"),
    "a published file": remove_published,
}


def change_sink(index=0, **options):
    return lambda config: config["sinks"][index].update(options)


def add_sink(config):
    config["sinks"].append(
        {"type": "file", "id": "more", "path": "more/", "format": {"type": "jsonl"}}
    )


CHANGED = {
    "nothing": lambda _config: None,
    "target_file_size": change_sink(target_file_size=1 << 20),
    "format": change_sink(format={"type": "csv"}),
    "compression": change_sink(compression="gzip"),
    "where": change_sink(where="action = 'accept'"),
    "filter": lambda config: config.update(
        enrichers=[{"type": "filter", "where": "action = 'accept'"}]
    ),
    "columns": change_sink(columns=["action", "src_addr", "interface_id"]),
    "path": change_sink(path="elsewhere/{action}/"),
    "limits": lambda config: config.update(limits={"max_line_size": "1KiB"}),
    "sink added": add_sink,
    "sink removed": lambda config: config["sinks"].pop(0),
    "sink renamed": change_sink(id="other"),
    "sink of another type": lambda config: config["sinks"].__setitem__(
        1, {"type": "blackhole", "id": "lines"}
    ),
    "source": lambda config: config["source"].update(paths="other/"),
}
CODES = {
    "sink removed": "sink_removed",
    "sink renamed": "sink_removed",
    "sink of another type": "sink_changed",
    "source": "source_changed",
}


@pytest.mark.parametrize("changed", CHANGED)
@pytest.mark.parametrize("gone", GONE)
def test_a_decided_epoch_comes_out_once_or_is_refused(site, monkeypatch, gone, changed):
    die_amid_the_commit(site, monkeypatch)
    GONE[gone](site)
    before = {sink: site.rows(sink) for sink in ("lake", "lines", "elsewhere", "more")}
    config = json.loads(json.dumps(site.original))
    CHANGED[changed](config)
    site.write(config)
    site.write_logs("other", 100)

    receipt = site.run()

    of_sinks = changed in CODES and changed != "source"
    if of_sinks or (gone != "nothing" and changed != "nothing"):
        assert receipt.error["code"] == CODES.get(changed, "pipeline_changed")
        assert receipt.exit_code == ExitCode.CONFIG
        assert "for one run" in receipt.error["hint"]
        rest = {sink: rows for sink, rows in before.items() if sink != "lake"}
        assert {sink: site.rows(sink) for sink in rest} == rest
        # A sink of which nothing is gone is committed before that of another one is missed.
        assert site.rows("lake") in (before["lake"], site.all())
        site.write(site.original)
        receipt = site.run()
    assert receipt.error is None
    assert receipt.resumed
    expected = site.all()
    if changed == "source" and gone == "nothing":
        expected += site.all(100)
    assert site.rows("lake") == site.rows("lines") == expected
    assert site.rows("elsewhere") == site.rows("more") == Counter()


def test_a_table_that_changed_since_is_noticed_before_anything_is_published(site, monkeypatch):
    """The pipeline file is as it was, and yet other rows come out."""
    table = site.folder / "names.csv"
    table.write_text("prefix,name\n10.0.0.0/24,a\n")
    config = {
        **site.original,
        "enrichers": [
            {"type": "cidr", "table": "names.csv", "addresses": ["src_addr"]},
            {"type": "filter", "where": "src_name = 'a'"},
        ],
    }
    site.write(config)
    die_amid_the_commit(site, monkeypatch)
    remove_stage("lake", "lines")(site)
    before = site.rows("lake")
    table.write_text("prefix,name\n10.0.0.0/31,a\n")
    for _ in range(2):  # also when it is found as planned, not as decided
        receipt = site.run()
        assert receipt.error["code"] == "pipeline_changed"
        assert f"{FILES * LINES} rows" in receipt.error["message"]
        assert site.rows("lake") == before
    table.write_text("prefix,name\n10.0.0.0/24,a\n")
    assert site.run().error is None
    assert site.rows("lake") == site.rows("lines") == site.all()


KILLED = """
import os, signal, sys
from ktrans.cli.root import cli
from ktrans.kit.files import staging

count = 0
def replace(source, target):
    global count
    count += 1
    if count == {renames}:
        os.kill(os.getpid(), signal.SIGKILL)
    os.rename(source, target)
staging.os.replace = replace
cli(["run", sys.argv[1]])
"""


def test_a_process_killed_amid_the_commit_and_a_changed_format(site):
    script = textwrap.dedent(KILLED.format(renames=RENAMES))
    done = subprocess.run([sys.executable, "-c", script, site.path], check=False)
    assert done.returncode == -signal.SIGKILL
    shutil.rmtree(site.folder / "lake" / ".ktrans-staging")
    config = json.loads(json.dumps(site.original))
    change_sink(format={"type": "csv"})(config)
    site.write(config)
    command = [sys.executable, "-m", "ktrans", "run", site.path]
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode == ExitCode.CONFIG
    assert "pipeline_changed" in refused.stderr
    site.write(site.original)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert site.rows("lake") == site.rows("lines") == site.all()


@pytest.mark.parametrize("changed", ["where", "source"])
def test_rows_that_may_come_twice_anyway_hold_up_no_change(site, monkeypatch, capfdbinary, changed):
    """After `ktrans run CONFIG | head` people edit the file and run it again."""
    site.original["sinks"] = [{"type": "stdout", "id": "out"}]
    site.write(site.original)

    def commit(*_args):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(StdoutSink, "commit", commit)
        with pytest.raises(Crash):
            site.run()
    site.write_logs("other", 100)
    config = json.loads(json.dumps(site.original))
    CHANGED[changed](config)
    site.write(config)
    receipt = site.run()
    assert receipt.error is None
    printed = capfdbinary.readouterr().out
    rows = {"where": FILES * LINES // 2, "source": FILES * LINES}[changed]
    assert printed.count(b'"interface_id"') == rows
    assert printed.count(b"eni-10") == (rows if changed == "source" else 0)
    assert any("dropped" in note for note in receipt.notes) == (changed == "source")
