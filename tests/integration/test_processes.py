"""Tasks in processes give the rows of threads, whoever is killed meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ktrans.engine.task_runs import SETTLE_SECS

ROWS = 300
PROCESSES = {"executor": "processes", "epoch_splits": 20, "task_size": 20000}


NOISY = '''
import os
from ktrans.api import Spec, hookimpl
from ktrans.decoders.logs.aws_vpc import LOG


class NoisyConfig(LOG.config, type="noisy"):
    """Decodes as aws_vpc does."""


class Noisy(LOG.decoder):
    """Logs a warning for each block."""

    def decode(self, block):
        self.context.log.warning("a block of %s", os.getpid())
        return super().decode(block)


@hookimpl
def ktrans_components():
    name = f"{__name__}:Noisy"
    return [Spec(kind="decoder", type="noisy", build=name, config=name + "Config", summary="-")]
'''

BUSY = NOISY.replace(
    'self.context.log.warning("a block of %s", os.getpid())',
    "open(os.path.dirname(__file__) + '/../tried', 'w').close(); raise RetryableError('busy')",
).replace("import Spec", "import RetryableError, Spec")

ROLLUP = """
enrichers:
  - type: rollup
    window: 1h
    group_by: [src_addr, dst_port]
    aggregates: {bytes: sum, packets: sum, flows: count}
    flush: at_end
"""


@pytest.fixture
def spread(site):
    """A site whose tasks run in two processes."""
    return site.write_config(**PROCESSES)


def same(site, clean):
    """Compare with a site whose tasks ran in threads: rows, and files by their bytes."""
    site.check_same(clean)
    for sink in ("lake", "lines"):
        assert contents(site, sink) == contents(clean, sink)


def contents(site, sink):
    """Return the hashes of all files of a sink; their names have a random part."""
    return Counter(hashlib.md5(path.read_bytes()).hexdigest() for path in site.visible(sink))


def workers_of(pid):
    """Return the processes that do tasks for a run."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            if not folder.name.isdecimal():
                continue
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            command = folder.joinpath("cmdline").read_bytes()
            if parent == pid and b"worker_process" in command:
                found.append(int(folder.name))
    return found


def alive(pids):
    """Return which of these processes do tasks still; zombies have ended."""
    left = []
    for pid in pids:
        with suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and b"worker_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                left.append(pid)
    return left


def dead(pids):
    """Return whether none of these processes does tasks."""
    return not alive(pids)


def wait_until(condition, process=None, secs=60.0):
    """Wait until something is true, or the process has ended; return whether it became true."""
    end = time.monotonic() + secs
    while time.monotonic() < end:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.01)
    return False


def ended(process):
    """Wait for a run that was stopped; return its exit code."""
    _, err = process.communicate(timeout=120)
    process.text = err.decode()
    return process.returncode


def test_processes_write_what_threads_write(spread, clean, logs):
    logs(0, 40)
    assert spread.run() == 0, spread.stderr
    assert clean.write_config(**{**PROCESSES, "executor": "threads"}).run() == 0, clean.stderr
    same(spread, clean)
    ours, theirs = spread.receipt, clean.receipt
    for what in ("splits", "input_bytes", "ledger", "epochs", "exit_code"):
        assert ours[what] == theirs[what]


@pytest.mark.slow
def test_what_cannot_be_read_is_quarantined_all_the_same(spread, clean, logs):
    folder = logs(0, 10)
    (folder / "00004.log.gz").chmod(0)
    spread.drop_privileges()
    clean.drop_privileges()
    assert spread.run() == 77, spread.stderr
    assert clean.write_config(**{**PROCESSES, "executor": "threads"}).run() == 77
    same(spread, clean)
    ours, theirs = spread.receipt["quarantined"], clean.receipt["quarantined"]
    assert ours == theirs
    assert len(ours) == 1


@pytest.mark.slow
def test_limits_hold_for_all_processes_together(spread, logs):
    folder = logs(0, 10)
    for number in (2, 5, 8):
        (folder / f"0000{number}.log.gz").chmod(0)
    spread.drop_privileges()
    spread.write_config(**PROCESSES, max_quarantined=2)
    assert spread.run() == 70, spread.stderr
    assert spread.receipt["error"]["code"] == "too_many_quarantined"
    assert spread.visible("lake") == spread.hidden() == []


def test_an_error_of_a_worker_ends_the_run_as_one_of_a_thread(spread, logs):
    logs(0, 6)
    spread.folder.joinpath("lines").write_text("a file where the folder should be")
    assert spread.run() == 78
    assert spread.receipt["error"] is None or spread.receipt["error"]["code"] == "path_taken"
    assert b"path_taken" in spread.stderr.encode()
    assert not alive(workers_of(os.getpid()))


def test_logs_of_workers_name_their_run_and_task(spread, logs, tmp_path, monkeypatch):
    logs(0, 6)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("KTRANS_PLUGINS_DIR", str(plugins))
    spread.config.write_text(spread.config.read_text().replace("aws_vpc", "noisy"))
    assert spread.run() == 0, spread.stderr
    lines = [json.loads(line) for line in spread.stderr.splitlines() if "a block of" in line]
    assert len({line["task"] for line in lines}) > 1
    for line in lines:
        assert (line["pipeline"], line["component"], line["epoch"]) == ("site", "decoder", 1)
        assert line["run_id"] == spread.receipt["run_id"]


@pytest.mark.slow
def test_processes_share_a_rollup(spread, clean, logs):
    """Each task makes totals of its rows, and the run adds them up."""
    logs(0, 40)
    for one, executor in ((spread, "processes"), (clean, "threads")):
        one.extra = ROLLUP
        one.write_config(**{**PROCESSES, "executor": executor})
        one.config.write_text(one.config.read_text().replace("{start_time:", "{window_start:"))
        assert one.run("-v") == 0, one.stderr
    for sink in ("lake", "lines"):
        assert contents(spread, sink) == contents(clean, sink)
    assert spread.receipt["ledger"] == clean.receipt["ledger"]
    assert spread.hidden() == []


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing(spread, clean, logs):
    """Their tasks are done again, by others."""
    logs(0, 60, rows=3000)
    rng = random.Random(11)
    process = spread.start("--receipt", str(spread.folder / "receipt.json"))
    kills = 0
    while process.poll() is None:
        time.sleep(rng.uniform(0.2, 0.8))
        found = workers_of(process.pid)
        if found and kills < 6:
            kills += 1
            with suppress(ProcessLookupError):
                os.kill(rng.choice(found), signal.SIGKILL)
    assert ended(process) == 0, process.text
    assert kills > 2
    assert spread.receipt["retries"] > 0
    assert spread.receipt["quarantined"] == []
    assert clean.write_config(**{**PROCESSES, "executor": "threads"}).run() == 0
    same(spread, clean)


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_worker_and_resumes(spread, clean, logs):
    logs(0, 80, rows=2000)
    rng = random.Random(12)
    killed = 0
    for _ in range(20):
        process = spread.start()
        wait_until(partial(workers_of, process.pid), process)
        time.sleep(rng.uniform(0.1, 2.0))
        found = workers_of(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += bool(found)
        assert wait_until(partial(dead, found), secs=10), "workers outlive their run"
        if killed == 4:
            break
    assert killed == 4
    assert spread.run() == 0, spread.stderr
    assert clean.write_config(**{**PROCESSES, "executor": "threads"}).run() == 0
    same(spread, clean)


@pytest.mark.slow
def test_an_epoch_of_processes_is_finished_by_threads(spread, clean, logs):
    """The executor is no part of what an epoch was planned with."""
    logs(0, 60, rows=3000)
    process = spread.start()
    assert wait_until(lambda: workers_of(process.pid), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    settings = {**PROCESSES, "executor": "threads"}
    assert spread.write_config(**settings).run() == 0, spread.stderr
    assert clean.write_config(**settings).run() == 0
    same(spread, clean)


@pytest.mark.slow
def test_a_signal_to_all_processes_drains(spread, clean, logs):
    """A service manager sends SIGTERM to each of them; the run finishes its epoch."""
    logs(0, 60, rows=2000)
    process = spread.start()
    assert wait_until(lambda: workers_of(process.pid), process)
    for pid in [*workers_of(process.pid), process.pid]:
        os.kill(pid, signal.SIGTERM)
    assert ended(process) == 0, process.text
    assert spread.hidden() == []
    assert 0 < sum(spread.lake().values()) < 60 * 2000
    assert spread.run() == 0
    assert clean.write_config(**{**PROCESSES, "executor": "threads"}).run() == 0
    same(spread, clean)


@pytest.mark.slow
def test_an_abandoned_epoch_leaves_nothing(spread, logs):
    logs(0, 60, rows=3000)
    process = spread.start()
    assert wait_until(lambda: workers_of(process.pid), process)
    found = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert ended(process) == 130, process.text
    assert not alive(found)
    assert spread.hidden() == []
    assert spread.run() == 0, spread.stderr
    assert sum(spread.lake().values()) == 60 * 3000


@pytest.mark.slow
def test_a_task_that_waits_for_another_attempt_is_abandoned_at_once(
    spread, logs, tmp_path, monkeypatch
):
    logs(0, 4)
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    plugins.joinpath("noisy.py").write_text(BUSY)
    monkeypatch.setenv("KTRANS_PLUGINS_DIR", str(plugins))
    spread.write_config(**PROCESSES, retry_wait=60)
    spread.config.write_text(spread.config.read_text().replace("aws_vpc", "noisy"))
    process = spread.start()
    assert wait_until((tmp_path / "tried").exists, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert ended(process) == 130, process.text
    assert time.monotonic() - began < SETTLE_SECS
