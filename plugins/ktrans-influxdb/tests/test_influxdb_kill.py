"""Real processes that write to a real InfluxDB 1 and are killed: each row is one point."""

import gzip
import json
import os
import random
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.service("influx1"), pytest.mark.slow]

KILLS, FILES, ROWS = 20, 40, 1500
FIRST_DAY = 1_767_225_600
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status\n"
)


def line(rng):
    start = FIRST_DAY + rng.choice([0, 30]) * 86400 + rng.randrange(3600)
    return (
        f"2 11112222333{rng.randrange(4)} eni-{rng.randrange(20):04} 10.0.0.{rng.randrange(250)}"
        f" 192.0.2.{rng.randrange(250)} {rng.randrange(1024, 65535)} 443 6 {rng.randrange(1, 99)}"
        f" {rng.randrange(40, 99999)} {start} {start + 60} {rng.choice(['ACCEPT', 'REJECT'])} OK\n"
    )


class Site:
    def __init__(self, folder, server, database):
        self.folder, self.server, self.database = folder, server, database
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.rows = self.bytes = 0
        self.config = folder / "pipeline.yaml"
        sink = {
            "type": "influxdb",
            "url": server.url,
            "api": "v1",
            "database": database,
            "user": server.user,
            "password": "${env:INFLUX_PASSWORD}",
            "tags": ["account_id", "action"],
            "fields": ["bytes", "packets"],
            "uniqueness": "object_tag",
            "batch_lines": 500,
        }
        pipeline = {
            "name": "site",
            "source": {"type": "file", "paths": [str(self.logs)]},
            "decoder": {"type": "aws_vpc"},
            "sinks": [sink],
            "rejects": {"type": "file", "path": "rejects/", "limit": {"ratio": 1.0}},
            "state": {"path": "state/state.db"},
            "engine": {"workers": 2, "epoch_splits": 8, "task_size": 60000},
        }
        self.config.write_text(json.dumps(pipeline))

    def write_logs(self, first, count, rows):
        for number in range(first, first + count):
            rng = random.Random(number)
            lines = [line(rng) for _ in range(rows)]
            self.rows += rows
            self.bytes += sum(int(text.split()[9]) for text in lines)
            data = gzip.compress((HEADER + "".join(lines)).encode(), 1)
            (self.logs / f".{number:05}.tmp").write_bytes(data)
            (self.logs / f".{number:05}.tmp").rename(self.logs / f"{number:05}.log.gz")

    def start(self):
        command = [sys.executable, "-m", "ktrans", "run", str(self.config)]
        return subprocess.Popen(
            [*command, "--receipt", str(self.folder / "receipt.json")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1", "INFLUX_PASSWORD": self.server.password},
        )

    def finish(self):
        process = self.start()
        _, err = process.communicate(timeout=300)
        return process.returncode, err.decode()

    def totals(self):
        """Points, and the sums of their fields `flows` and `bytes`."""
        text = "SELECT count(bytes), sum(flows), sum(bytes) FROM flow"
        (series,) = self.server.query(self.database, text)
        return tuple(series["values"][0][1:])


@pytest.fixture
def site(tmp_path, influx1_server, name):
    influx1_server.create(name)
    return Site(tmp_path, influx1_server, name)


def test_twenty_kills_and_each_row_is_one_point(site):
    site.write_logs(0, FILES, ROWS)
    rng, kills, files = random.Random(3), 0, FILES
    while kills < KILLS:
        process = site.start()
        try:
            process.communicate(timeout=rng.uniform(0.5, 1.5))
            site.write_logs(files, 8, ROWS)
            files += 8
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    code, err = site.finish()
    assert code == 0, err
    assert site.totals() == (site.rows, site.rows, site.bytes)
    assert site.server.password not in err


def test_what_the_server_refuses_is_among_the_rejects_and_the_rest_arrives(site):
    """A field that holds texts in the first week takes no numbers there, but a month later."""
    server, database = site.server, site.database
    server.write(database, f'flow bytes="text" {FIRST_DAY}000000000')
    site.write_logs(0, 6, 300)
    code, err = site.finish()
    assert code == 0, err
    receipt = json.loads((site.folder / "receipt.json").read_text())
    rejects = [
        json.loads(text)
        for path in (site.folder / "rejects").rglob("*.jsonl")
        for text in path.read_text().splitlines()
    ]
    assert {reject["reason"] for reject in rejects} == {"field_type_conflict"}
    assert all("already exists as type string" in reject["detail"] for reject in rejects)
    assert 0 < len(rejects) < site.rows
    assert receipt["ledger"]["refused"] == {"field_type_conflict": len(rejects)}
    text = f"SELECT count(bytes), sum(flows) FROM flow WHERE time > {FIRST_DAY + 86400}s"
    (series,) = server.query(database, text)
    assert series["values"][0][1:] == [site.rows - len(rejects)] * 2
    names = {(reject["source_uri"], reject["source_pos"]) for reject in rejects}
    assert len(names) == len(rejects)
