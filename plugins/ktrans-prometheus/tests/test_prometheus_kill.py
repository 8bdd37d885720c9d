"""Real processes that write totals to a real Prometheus and are killed."""

import json
import os
import random
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.service("prometheus"), pytest.mark.slow]

KILLS, FILES, ROWS = 20, 120, 300
HEADER = "account-id action srcaddr dstaddr bytes packets start end log-status\n"


def flows(number, day):
    """Return the flows of one file: account, action, bytes, start."""
    rng, first = random.Random(number), day // 1000 + number * 30
    return [
        (rng.choice("123"), rng.choice(["ACCEPT", "REJECT"]), rng.randrange(9999), first + n % 60)
        for n in range(ROWS)
    ]


def write(folder, number, day):
    text = "".join(
        f"{account} {action} 10.0.0.1 192.0.2.1 {size} 1 {start} {start + 5} OK\n"
        for account, action, size, start in flows(number, day)
    )
    part = folder / f".{number:04}.part"
    part.write_text(HEADER + text)
    part.rename(folder / f"{number:04}.log")


def totals_of(files, day):
    """Return bytes and flows of each account, action and end of a window."""
    totals = {}
    for number in range(files):
        for account, action, size, begin in flows(number, day):
            key = (account, action.lower(), (begin // 60 + 1) * 60)
            total = totals.setdefault(key, [0, 0])
            total[0] += size
            total[1] += 1
    return totals


def samples_of(server, metric, day):
    """Return the value at each account, action and time."""
    found = {}
    for labels, samples in server.samples(metric, job=f"kill{day}").items():
        names = dict(labels)
        for time, value in samples:
            found[names["account_id"], names["action"], int(time)] = value
    return found


def test_twenty_kills_and_each_total_is_one_sample(prometheus_server, tmp_path, day):
    logs = tmp_path / "logs"
    logs.mkdir()
    rollup = {
        "type": "rollup",
        "window": "1m",
        "group_by": ["account_id", "action"],
        "aggregates": {"bytes": "sum", "flows": "count"},
        "lateness": "5m",
    }
    sink = {
        "type": "prometheus",
        "url": f"{prometheus_server.url}/api/v1/write",
        "labels": {"job": f"kill{day}"},
    }
    pipeline = {
        "name": "totals",
        "source": {"type": "file", "paths": [str(logs)]},
        "decoder": {"type": "aws_vpc"},
        "enrichers": [rollup],
        "sinks": [sink],
        "rejects": {"type": "file", "path": "rejects/"},
        "engine": {"epoch_splits": 2},
    }
    config = tmp_path / "totals.yaml"
    config.write_text(json.dumps(pipeline))

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def finish():
        process = start()
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err

    rng, kills, written = random.Random(5), 0, 0
    while kills < KILLS:
        for _ in range(FILES // KILLS):
            write(logs, written, day)
            written += 1
        process = start()
        try:
            process.communicate(timeout=rng.uniform(0.5, 1.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    finish()
    rollup["flush"] = "at_end"
    config.write_text(json.dumps(pipeline))
    finish()
    assert not list((tmp_path / "rejects").rglob("*.jsonl"))
    expected = totals_of(written, day)
    for place, metric in enumerate(["traffic_bytes", "traffic_flows"]):
        found = samples_of(prometheus_server, metric, day)
        assert found == {key: total[place] for key, total in expected.items()}
