"""Real runs from files to Kafka, those that die at random moments among them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

pytestmark = [pytest.mark.service("kafka"), pytest.mark.slow]
KILLS = 20
FILES, ROWS = 30, 200
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status\n"
)


def write_logs(folder, first, count):
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        lines = [
            f"2 111122223333 eni-{number:04} 10.0.{number % 250}.{row % 250} 192.0.2.{row % 200}"
            f" {1024 + row} 443 6 {1 + row} {40 + row} 1767225600 1767225660 ACCEPT OK\n"
            for row in range(ROWS)
        ]
        path = folder / f".{number:05}.log"
        path.write_text(HEADER + "".join(lines))
        path.rename(folder / f"{number:05}.log")


def configure(folder, cluster, options="librdkafka: {linger.ms: 5}"):
    engine = {"workers": 2, "epoch_splits": 8, "task_size": 40_000, "retry_wait": 0.05}
    path = folder / "pipeline.yaml"
    path.write_text(
        f"""
name: kill-{cluster.own}
source: {{type: file, paths: ["{folder}/logs"]}}
decoder: {{type: aws_vpc}}
sinks:
  - type: kafka
    bootstrap_servers: ["{cluster.bootstrap}"]
    topic: {cluster.topic}
    key: [interface_id]
    {options}
state: {{path: "{folder}/state.db"}}
rejects: {{type: file, path: "{folder}/rejects/"}}
engine: {json.dumps(engine)}
"""
    )
    return path


def start(path):
    return subprocess.Popen(
        [sys.executable, "-m", "ktrans", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_twenty_kills_lose_nothing_and_write_nothing_twice(tmp_path, cluster):
    write_logs(tmp_path / "logs", 0, FILES)
    path = configure(tmp_path, cluster)
    rng = random.Random(11)
    kills = files = 0
    files = FILES
    while kills < KILLS:
        process = start(path)
        try:
            process.communicate(timeout=rng.uniform(0.6, 2.2))
            write_logs(tmp_path / "logs", files, 10)
            files += 10
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
    process = start(path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    found = Counter()
    for message in cluster.read():
        row = json.loads(message.value())
        assert message.key() == row["interface_id"].encode()
        found[row["interface_id"], row["src_port"]] += 1
    expected = {(f"eni-{n:04}", 1024 + row) for n in range(files) for row in range(ROWS)}
    assert set(found) == expected
    assert set(found.values()) == {1}


def test_a_second_run_of_the_same_pipeline_elsewhere_ends_the_first_one(tmp_path, cluster):
    """Two machines, each with a state of its own: the later one goes on, the earlier one stops."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_logs(tmp_path / name / "logs", 0, 200)
        configure(tmp_path / name, cluster)
    first = start(tmp_path / "one" / "pipeline.yaml")
    deadline = time.monotonic() + 120
    while not cluster.read(isolation="read_uncommitted"):
        assert time.monotonic() < deadline
        assert first.poll() is None, first.communicate()
    os.kill(first.pid, signal.SIGSTOP)
    second = start(tmp_path / "two" / "pipeline.yaml")
    _, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors.decode()
    os.kill(first.pid, signal.SIGCONT)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 70, errors.decode()
    assert "another process" in errors.decode()


def test_rows_too_large_for_a_record_arrive_among_the_rejects(tmp_path, cluster):
    write_logs(tmp_path / "logs", 0, 2)
    log = tmp_path / "logs" / "00000.log"
    lines = log.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace("eni-0000", "eni-" + "x" * 2000)
    log.write_text("".join(lines))
    path = configure(tmp_path, cluster, "max_record_size: 1500")
    process = start(path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert len(cluster.read()) == 2 * ROWS - 1
    found = [
        json.loads(line)
        for file in (tmp_path / "rejects").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert [(row["reason"], row["source_pos"]) for row in found] == [("record_too_large", 4)]


def test_validate_connect_asks_the_cluster(tmp_path, cluster):
    path = configure(tmp_path, cluster)
    write_logs(tmp_path / "logs", 0, 1)
    command = [sys.executable, "-m", "ktrans", "validate", "--connect", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "exactly once" in (done.stdout + done.stderr).replace("\u00a0", " ").lower()
    path.write_text(path.read_text().replace(cluster.topic, f"nowhere-{cluster.own}"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 78
    assert f"nowhere-{cluster.own}" in done.stderr
