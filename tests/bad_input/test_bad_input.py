"""Bad input, case by case, as a user meets it: a clear message with its place, the right exit code,
and nothing lost."""

import gzip
import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading

import pytest

from ktrans.config.load import load_pipeline
from ktrans.engine.observer import Observer
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.registry.catalogue import Catalogue

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status\n"
)


def lines(count, first=0):
    return "".join(
        f"2 111122223333 eni-0a 10.0.0.1 192.0.2.{n % 250} {1024 + n} 443 6 1 {n} 1767225600 "
        "1767225660 ACCEPT OK\n"
        for n in range(first, first + count)
    )


GOOD = (HEADER + lines(10)).encode()
PIPELINE = """\
name: bad
source: {type: file, paths: [logs]}
sinks:
  - {type: file, path: out/, format: {type: jsonl}}
rejects: {type: file, path: rejects/, limit: {min_records: 1000000}}
engine: {retry_wait: 0.01}
"""


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "p.yaml"
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.config.write_text(PIPELINE)

    def ktrans(self, *args, prefix=(), env=None, memory=None):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

        self.result = subprocess.run(
            [*prefix, sys.executable, "-m", "ktrans", *args],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NO_COLOR": "1", **(env or {})},
            preexec_fn=limit if memory else None,
        )
        return self.result

    def run(self, *args, **options):
        return self.ktrans(
            "run", str(self.config), "--receipt", str(self.folder / "r.json"), *args, **options
        )

    @property
    def receipt(self):
        return json.loads((self.folder / "r.json").read_text())

    def rows(self, sink="out"):
        return [
            json.loads(line)
            for path in sorted((self.folder / sink).glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]

    def change(self, old, new):
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def run_inside(self, planned):
        """Run in this process, doing something between plan and read."""

        class Meddler(Observer):
            def epoch_planned(self, number, tasks, splits):
                planned()

        catalogue = Catalogue()
        pipeline = load_pipeline(self.config, catalogue)
        return run(pipeline, catalogue, RunOptions(), Meddler(), threading.Event())


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_unknown_config_key(place):
    place.change("paths:", "path:")
    result = place.run()
    assert result.returncode == 78
    assert "p.yaml:2:" in result.stderr
    assert "did you mean" in result.stderr
    assert "paths" in result.stderr


def test_wrong_type(place):
    place.change("retry_wait: 0.01", "workers: many")
    result = place.run()
    assert result.returncode == 78
    assert "p.yaml:6:" in result.stderr
    assert "workers" in result.stderr
    assert "pydantic" not in result.stderr.lower()


def test_missing_input_file(place):
    place.change("[logs]", "[logs/absent.log]")
    result = place.run()
    assert result.returncode == 78
    assert "absent.log" in result.stderr


def test_missing_config_file(place):
    result = place.ktrans("run", "nowhere.yaml")
    assert result.returncode == 78
    assert "nowhere.yaml" in result.stderr


def test_empty_file_and_header_only(place):
    (place.logs / "empty.log").touch()
    (place.logs / "empty.log.gz").write_bytes(gzip.compress(b""))
    (place.logs / "header.log").write_text(HEADER)
    (place.logs / "good.log").write_bytes(GOOD)
    assert place.run().returncode == 0, place.result.stderr
    assert len(place.rows()) == 10
    assert place.receipt["ledger"]["rejected"] == {}
    assert place.receipt["splits"] == 3  # there is nothing to read in a file of no bytes


def test_a_directory_where_the_config_should_be(place):
    result = place.ktrans("run", str(place.logs))
    assert result.returncode == 78
    assert "director" in result.stderr or "folder" in result.stderr


def test_a_directory_where_a_table_should_be(place):
    (place.logs / "good.log").write_bytes(GOOD)
    place.change("sinks:", "enrichers:\n  - {type: cidr, table: logs}\nsinks:")
    result = place.run()
    assert result.returncode == 78
    assert "p.yaml:4:" in result.stderr
    assert "logs" in result.stderr


def test_a_file_where_the_output_folder_should_be(place):
    (place.logs / "good.log").write_bytes(GOOD)
    (place.folder / "out").write_text("I am a file")
    result = place.run()
    assert result.returncode in {77, 78, 75}
    assert "out" in result.stderr
    (place.folder / "out").unlink()
    assert place.run().returncode == 0
    assert len(place.rows()) == 10


def test_no_permission(place):
    (place.logs / "good.log").write_bytes(GOOD)
    secret = place.logs / "secret.log"
    secret.write_bytes(GOOD)
    secret.chmod(0)
    prefix = ()
    if os.geteuid() == 0:
        prefix = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--")
    result = place.run(prefix=prefix)
    assert result.returncode == 77
    assert "secret.log" in result.stderr
    assert len(place.rows()) == 10
    secret.chmod(0o644)
    assert place.run().returncode == 0
    assert len(place.rows()) == 20


def test_a_file_deleted_between_plan_and_read(place):
    (place.logs / "a.log").write_bytes(GOOD)
    (place.logs / "b.log").write_bytes(GOOD)
    receipt = place.run_inside((place.logs / "a.log").unlink)
    assert receipt.exit_code == 65
    assert receipt.quarantined[0].code == "split_vanished"
    assert "a.log" in receipt.quarantined[0].uri
    assert len(place.rows()) == 10
    assert place.run().returncode == 0


def test_a_file_replaced_during_the_run(place):
    target = place.logs / "a.log"
    target.write_bytes(GOOD)
    (place.logs / "b.log").write_bytes(GOOD)

    def replace():
        new = place.folder / "new"
        new.write_text(HEADER + lines(20, first=100))
        new.rename(target)

    receipt = place.run_inside(replace)
    assert receipt.exit_code == 65
    assert "a.log" in receipt.quarantined[0].uri
    assert len(place.rows()) == 10
    assert place.run().returncode == 0
    assert sorted(row["bytes"] for row in place.rows()) == [*range(10), *range(100, 120)]


def test_binary_junk(place):
    (place.logs / "good.log").write_bytes(GOOD)
    junk = place.logs / "junk.log"
    junk.write_bytes(bytes(range(256)) * 400)
    os.utime(junk, (0, 0))  # nobody writes on it, so that its end is not waited for
    result = place.run()
    assert result.returncode in {0, 65}
    assert len(place.rows()) == 10
    rejects = place.rows("rejects")
    assert rejects
    assert all("junk.log" in reject["source_uri"] for reject in rejects)
    assert place.run().returncode == 0


def test_a_line_of_a_gigabyte(place):
    path = place.logs / "long.log"
    with path.open("wb") as stream:
        stream.write(GOOD)
        stream.seek(1 << 30, 1)
        stream.write(b"\n" + lines(5, first=50).encode())
    result = place.run(memory=3 << 30)
    assert result.returncode == 0, result.stderr
    assert sorted(row["bytes"] for row in place.rows()) == [*range(10), *range(50, 55)]
    (reject,) = place.rows("rejects")
    assert reject["reason"] == "line_too_long"
    assert reject["source_pos"] == 12
    assert place.rows()[-1]["source_pos"] == 17


def test_a_gzip_bomb(place):
    (place.logs / "good.log").write_bytes(GOOD)
    one = gzip.compress(b"2 - - - - - - - - - - - - NODATA\n" * 6_000_000, 9)
    (place.logs / "bomb.log.gz").write_bytes(one)
    place.change("engine:", "limits: {max_inflate_ratio: 50}\nengine:")
    result = place.run()
    assert result.returncode == 65, result.stderr
    assert len(place.rows()) == 10
    assert [r["reason"] for r in place.rows("rejects")] == ["inflate_ratio"]
    assert "max_inflate_ratio" in place.rows("rejects")[0]["detail"]


def test_invalid_utf8(place):
    bad = b"2 111122223333 eni-\xff\xfe 10.0.0.1 192.0.2.1 1 443 6 1 1 1767225600 1767225660 ACCEPT OK\n"
    (place.logs / "a.log").write_bytes(GOOD + bad + lines(3, first=20).encode())
    assert place.run().returncode == 0, place.result.stderr
    assert len(place.rows()) == 13
    (reject,) = place.rows("rejects")
    assert reject["reason"] == "invalid_utf8"
    assert reject["source_pos"] == 12
    assert "raw_base64" in reject


def test_truncated_gzip(place):
    (place.logs / "good.log").write_bytes(GOOD)
    whole = gzip.compress((HEADER + lines(5000)).encode())
    (place.logs / "torn.log.gz").write_bytes(whole[: len(whole) // 2])
    result = place.run()
    assert result.returncode == 0, result.stderr
    rows = [row for row in place.rows() if "torn" in row["source_uri"]]
    assert 100 < len(rows) < 5000
    assert [row["bytes"] for row in rows] == list(range(len(rows)))
    (reject,) = place.rows("rejects")
    assert reject["reason"] == "truncated"
    assert reject["source_pos"] == len(rows) + 2
    assert "torn.log.gz" in place.receipt["torn"][0]
    assert place.receipt["retries"] >= 1


def test_two_pipelines_with_one_name_and_one_state(place):
    (place.logs / "good.log").write_bytes(GOOD)
    assert place.run().returncode == 0
    other = place.folder / "other.yaml"
    other.write_text(PIPELINE)
    result = place.ktrans("run", str(other))
    assert result.returncode == 78
    assert "'bad'" in result.stderr
    assert "p.yaml" in result.stderr
    assert "another name" in result.stderr


def test_a_state_file_from_a_newer_version(place):
    (place.logs / "good.log").write_bytes(GOOD)
    assert place.run().returncode == 0
    with sqlite3.connect(place.folder / ".ktrans/state.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    result = place.run()
    assert result.returncode == 78
    assert "newer ktrans" in result.stderr


@pytest.mark.parametrize("path", ["out/{account_id}/../../x/", "{account_id}/", "/{account_id}/x/"])
def test_a_sink_path_that_leaves_its_prefix(place, path):
    place.change("path: out/", f'path: "{path}"')
    result = place.run()
    assert result.returncode == 78
    assert "p.yaml:4:" in result.stderr


def test_values_cannot_lead_a_path_astray(place):
    evil = "2 ../../evil eni-a 10.0.0.1 192.0.2.1 1 443 6 1 1 1767225600 1767225660 ACCEPT OK\n"
    (place.logs / "a.log").write_text(HEADER + evil)
    place.change("path: out/", 'path: "out/{account_id}/"')
    assert place.run().returncode == 0, place.result.stderr
    assert not (place.folder.parent / "evil").exists()
    found = list((place.folder / "out").rglob("*.jsonl"))
    assert len(found) == 1


def test_an_unknown_enricher_column(place):
    place.change("sinks:", "enrichers:\n  - {type: filter, where: bites > 1}\nsinks:")
    result = place.run()
    assert result.returncode == 78
    assert "p.yaml:4:" in result.stderr
    assert "bites" in result.stderr
    assert "bytes" in result.stderr


def test_a_broken_plugin_stops_only_those_who_need_it(place):
    (place.logs / "good.log").write_bytes(GOOD)
    site = place.folder / "site"
    info = site / "ktrans_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ktrans-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ktrans]\nbroken = ktrans_broken\n")
    (site / "ktrans_broken.py").write_text("import no_such_module_anywhere\n")
    env = {"PYTHONPATH": str(site)}
    assert place.run(env=env).returncode == 0
    listed = place.ktrans("plugins", env=env)
    assert listed.returncode == 0
    assert "ktrans-broken" in listed.stdout
    assert "no_such_module_anywhere" in listed.stdout
    place.change("type: file, path: out/", "type: broken, path: out/")
    result = place.run(env=env)
    assert result.returncode == 78
    assert "no_such_module_anywhere" in result.stderr
