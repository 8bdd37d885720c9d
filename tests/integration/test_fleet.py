"""Several pipelines in one real process: isolated, loaded again, stopped and killed."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import closing

import pytest

HEAD = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status\n"
)
LINE = "2 111122223333 eni-{eni} 10.0.0.1 10.0.0.2 443 {port} 6 2 {n} 1767225600 1767225660 ACCEPT OK\n"
ROWS = 40
SHARED = """\
decoder: {type: aws_vpc}
state: {path: state/state.db}
engine: {poll_interval: 0.1, epoch_splits: 3, retry_wait: 0.01}
"""


def until(true, seconds=90):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def free_port():
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Site:
    """A folder of pipelines, their logs, and what they write."""

    def __init__(self, folder):
        self.folder = folder
        self.pipelines = folder / "pipelines"
        self.pipelines.mkdir()
        (folder / "_shared.yaml").write_text(SHARED)
        (self.pipelines / "_shared.yaml").write_text(SHARED)
        self.port = free_port()
        self.process = None
        self.errors = folder / "stderr"

    def write(self, name, more="", logs=None):
        """Write a pipeline's file as editors do: beside it first."""
        text = (
            f"name: {name}\ninclude: _shared.yaml\n"
            f"source: {{type: file, paths: [../logs/{logs or name}/], tail_wait: 0}}\n"
            f"sinks: [{{id: out, type: file, path: ../out/{name}/, format: {{type: jsonl}}}}]\n{more}"
        )
        temporary = self.pipelines / f".{name}.tmp"
        temporary.write_text(text)
        temporary.replace(self.pipelines / f"{name}.yaml")

    def add_logs(self, name, first, count):
        folder = self.folder / "logs" / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            lines = [LINE.format(eni=name, port=number, n=n) for n in range(ROWS)]
            temporary = folder / f".{number:05}"
            temporary.write_text(HEAD + "".join(lines))
            temporary.replace(folder / f"{number:05}.log")

    def rows(self, name):
        """The rows that are visible, as a multiset."""
        found = Counter()
        for path in sorted((self.folder / "out" / name).glob("*.jsonl")):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                found[row["dst_port"], row["bytes"]] += 1
        return found

    def expected(self, count, first=0):
        return Counter((number, n) for number in range(first, first + count) for n in range(ROWS))

    def start(self, *args, http=True):
        command = [sys.executable, "-m", "ktrans", "run", str(self.pipelines), *args]
        command += ["-v", "--log-format", "json"]
        if http:
            command += ["--http", f":{self.port}"]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "NO_COLOR": "1"},
            )
        return self.process

    def status(self):
        assert self.process.poll() is None, self.errors.read_text()
        url = f"http://127.0.0.1:{self.port}/status.json"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except OSError:
            return None

    def ready(self):
        told = self.status()
        return told and told["pipelines"] and all(p["ready"] for p in told["pipelines"])

    def generation(self):
        return self.status()["config"]["generation"]

    def pipeline(self, name):
        return next((p for p in self.status()["pipelines"] if p["pipeline"] == name), None)

    def reload(self):
        """Ask for a reload, and wait for its verdict."""
        before = self.status()["config"]
        self.process.send_signal(signal.SIGHUP)

        def verdict():
            now = self.status()["config"]
            return now["generation"] != before["generation"] or now["failed"] != before["failed"]

        until(verdict)

    def stop(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out

    def events(self, name):
        """The log's events of a name; lines that a kill has torn are left out."""
        found = []
        for text in self.errors.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if line["event"] == name:
                found.append(line)
        return found


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    if site.process is not None and site.process.poll() is None:
        site.process.kill()
    if site.process is not None:
        site.process.communicate(timeout=60)


def test_one_that_fails_leaves_the_others_alone(site):
    site.write("good")
    site.write(
        "bad", "rejects: {type: file, path: ../rejects/, limit: {ratio: 0.0, min_records: 1}}\n"
    )
    site.add_logs("good", 0, 4)
    (site.folder / "logs/bad").mkdir()
    (site.folder / "logs/bad/a.log").write_text(HEAD + "2 rubbish\n" * 9)
    process = site.start("--json", http=False)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 65, site.errors.read_text()
    bad, good = json.loads(out)
    assert (bad["pipeline"], bad["exit_code"]) == ("bad", 65)
    assert (good["pipeline"], good["outcome"]) == ("good", "done")
    assert site.rows("good") == site.expected(4)
    assert {line["pipeline"] for line in site.events("epoch_committed")} == {"good"}


def test_an_invalid_file_stops_all_before_anything_starts_unless_keep_going_is_set(site):
    site.write("good")
    site.add_logs("good", 0, 1)
    (site.pipelines / "wrong.yaml").write_text("source: {type: nope}\n")
    process = site.start("--json", http=False)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 78
    assert json.loads(out)["error"]["file"].endswith("wrong.yaml")
    assert not (site.folder / "out").exists()
    process = site.start("--json", "--keep-going", http=False)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 78
    good, wrong = json.loads(out)
    assert (good["outcome"], wrong["outcome"]) == ("done", "failed")
    assert site.rows("good") == site.expected(1)


def test_a_locked_one_leaves_the_others_alone(site):
    site.write("one")
    site.write("two")
    for name in ("one", "two"):
        site.add_logs(name, 0, 1)
    first = site.start("--follow", "--pipeline", "one")
    until(site.ready)
    command = [sys.executable, "-m", "ktrans", "run", str(site.pipelines), "--json"]
    second = subprocess.run(command, capture_output=True, timeout=120, check=False)
    one, two = json.loads(second.stdout)
    assert (one["exit_code"], two["outcome"], second.returncode) == (75, "done", 75)
    assert site.rows("two") == site.expected(1)
    assert first.poll() is None


def test_reloads_while_logs_keep_coming_give_every_row_once(site):
    """A good change, a wrong one, and a good one again; the other pipeline is not touched."""
    for name in ("one", "two"):
        site.write(name)
        site.add_logs(name, 0, 3)
    site.start("--follow")
    until(site.ready)
    until(lambda: site.pipeline("one")["totals"]["rows"] >= 3 * ROWS)
    run_of_two = site.pipeline("two")["run_id"]
    count = 3
    for step in range(4):
        site.add_logs("one", count, 5)
        site.add_logs("two", count, 5)
        count += 5
        if step == 2:
            site.write("one", "enrichers: [{type: nope}]\n")
        else:
            site.write("one", f"limits: {{max_line_size: {65536 + step}}}\n")
        generation = site.generation()
        site.reload()
        told = site.status()["config"]
        if step == 2:
            assert told["generation"] == generation
            assert "one.yaml:5" in told["failed"]["errors"][0]
            assert site.ready()
        else:
            assert (told["generation"], told["failed"]) == (generation + 1, None)
            until(lambda want=told["generation"]: site.pipeline("one")["generation"] == want)
    until(lambda: sum(site.rows("one").values()) >= count * ROWS)
    until(lambda: sum(site.rows("two").values()) >= count * ROWS)
    assert site.pipeline("two")["run_id"] == run_of_two
    assert site.pipeline("two")["generation"] == 1
    code, _ = site.stop()
    assert code == 0, site.errors.read_text()
    assert site.rows("one") == site.expected(count)
    assert site.rows("two") == site.expected(count)
    assert [line["level"] for line in site.events("reload_failed")] == ["error"]
    changed = [line["changed"] for line in site.events("config_reloaded")]
    assert changed == [["one"]] * 3


def test_watched_files_are_loaded_again_and_pipelines_come_and_go(site):
    site.write("one")
    site.write("two")
    site.add_logs("one", 0, 2)
    site.add_logs("two", 0, 2)
    site.add_logs("three", 0, 2)
    site.start("--follow", "--watch")
    until(site.ready)
    until(lambda: site.rows("two") == site.expected(2))
    site.write("three")
    until(lambda: site.rows("three") == site.expected(2))
    (site.pipelines / "two.yaml").unlink()
    until(lambda: [p["pipeline"] for p in site.status()["pipelines"]] == ["one", "three"])
    shared = site.pipelines / "_shared.yaml"
    shared.write_text(SHARED + "limits: {max_line_size: 70000}\n")
    until(lambda: all(p["generation"] >= 4 for p in site.status()["pipelines"]))
    shared.write_text(SHARED + "limits: {max_line")
    until(lambda: site.status()["config"]["failed"])
    assert "_shared.yaml" in site.status()["config"]["failed"]["errors"][0]
    site.add_logs("one", 2, 2)
    until(lambda: site.rows("one") == site.expected(4))
    until(lambda: site.pipeline("one")["totals"]["rows"] == 4 * ROWS)
    url = f"http://127.0.0.1:{site.port}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        metrics = answer.read().decode().splitlines()
    applied = next(line for line in metrics if 'ktrans_reloads_total{outcome="applied"}' in line)
    assert float(applied.split()[-1]) >= 3
    assert "ktrans_config_reload_failing 1.0" in metrics
    assert 'ktrans_rows_received_total{pipeline="one"} 160.0' in metrics
    assert sum(line == "# TYPE ktrans_rows_received_total counter" for line in metrics) == 1
    code, _ = site.stop()
    assert code == 0, site.errors.read_text()


def test_a_call_to_stop_during_a_reload_stops_everything(site):
    for name in ("one", "two", "three"):
        site.write(name)
        site.add_logs(name, 0, 30)
    site.start("--follow")
    until(site.ready)
    for name in ("one", "two"):
        site.write(name, "limits: {max_line_size: 70000}\n")
    site.process.send_signal(signal.SIGHUP)
    until(lambda: site.events("config_reloaded"))
    code, _ = site.stop()
    assert code == 0, site.errors.read_text()
    process = site.start(http=False)
    process.communicate(timeout=120)
    assert process.returncode == 0
    for name in ("one", "two", "three"):
        assert site.rows(name) == site.expected(30)


def test_a_fleet_that_is_killed_over_and_over_has_every_row_once(site):
    rng = random.Random(7)
    names = ("one", "two", "three")
    for name in names:
        site.write(name)
        site.add_logs(name, 0, 30)
    for _ in range(5):
        process = site.start("--follow", http=False)
        before = len(site.events("epoch_committed")) if site.errors.exists() else 0
        wanted = min(before + rng.randrange(0, 6), 25)  # of 30 that there will be
        until(lambda want=wanted: len(site.events("epoch_committed")) >= want)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    process = site.start(http=False)
    process.communicate(timeout=120)
    assert process.returncode == 0, site.errors.read_text()
    for name in names:
        assert site.rows(name) == site.expected(30)
