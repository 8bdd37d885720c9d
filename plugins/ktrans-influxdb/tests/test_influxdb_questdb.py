"""QuestDB, which takes the write API of InfluxDB 2: refused lines, and totals once across kills."""

import json
import os
import random
import subprocess
import sys

import pyarrow as pa
import pytest

pytestmark = pytest.mark.service("questdb")

KILLS, FILES, ROWS = 10, 60, 400
FIRST_DAY = 1_767_225_600
HEADER = "account-id action srcaddr dstaddr bytes packets start end log-status\n"
TOKEN = "secret-of-questdb"
ROWS_TABLE = """CREATE TABLE {name} (
  timestamp TIMESTAMP, account_id SYMBOL, flow SYMBOL, bytes LONG, flows LONG
) TIMESTAMP(timestamp) PARTITION BY DAY WAL
DEDUP UPSERT KEYS(timestamp, account_id, flow)"""
TOTALS_TABLE = """CREATE TABLE {name} (
  timestamp TIMESTAMP, account_id SYMBOL, action SYMBOL, bytes LONG, packets LONG, flows LONG
) TIMESTAMP(timestamp) PARTITION BY DAY WAL
DEDUP UPSERT KEYS(timestamp, account_id, action)"""


def test_only_the_rows_that_do_not_fit_the_table_are_refused(
    questdb_server, name, bound, flows, deliver, positions
):
    questdb_server.query(ROWS_TABLE.format(name=name))
    odd = pa.array(["text" if n == 5 else None for n in range(20)]).dictionary_encode()
    batch = flows(20).append_column("flows", odd)
    place = {"url": questdb_server.url, "org": "o", "bucket": "b", "token": TOKEN}
    fields = {"fields": ["bytes", "flows"], "tags": ["account_id"], "count_field": None}
    sink = bound(batch.schema, measurement=name, uniqueness="row_tag", **place, **fields)
    try:
        for _ in range(2):  # again, as after a crash
            receipt, refused = deliver(sink, batch)
            assert (receipt.rows, positions(refused)) == (19, [5])
            assert "cast error" in refused[0].detail
    finally:
        sink.close()
    questdb_server.applied(name)
    assert questdb_server.query(f"SELECT count(), sum(bytes) FROM {name}") == [
        [19, sum(n + 1000 for n in range(20) if n != 5)]
    ]


def lines(number):
    """Return one file of logs, and their bytes by account."""
    rng, texts = random.Random(number), []
    for _ in range(ROWS):
        start = FIRST_DAY + number * 20 + rng.randrange(60)
        account, action = rng.choice(["1", "2", "3"]), rng.choice(["ACCEPT", "REJECT"])
        size = rng.randrange(40, 99999)
        texts.append(f"{account} {action} 10.0.0.1 192.0.2.1 {size} 1 {start} {start + 9} OK\n")
    return HEADER + "".join(texts)


@pytest.mark.slow
def test_totals_that_grow_are_right_however_often_the_run_is_killed(questdb_server, name, tmp_path):
    questdb_server.query(TOTALS_TABLE.format(name=name))
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(FILES):
        (logs / f"{number:03}.log").write_text(lines(number))
    rollup = {
        "type": "rollup",
        "window": "1m",
        "group_by": ["account_id", "action"],
        "aggregates": {"bytes": "sum", "packets": "sum", "flows": "count"},
        "emit": "running",
        "lateness": "10m",
    }
    sink = {"type": "influxdb", "url": questdb_server.url, "org": "o", "bucket": "b"}
    pipeline = {
        "name": "totals",
        "source": {"type": "file", "paths": [str(logs)]},
        "decoder": {"type": "aws_vpc"},
        "enrichers": [rollup],
        "sinks": [{**sink, "token": TOKEN, "measurement": name}],
        "rejects": {"type": "file", "path": "rejects/"},
        "engine": {"epoch_splits": 2},
    }
    config = tmp_path / "totals.yaml"
    config.write_text(json.dumps(pipeline))
    command = [sys.executable, "-m", "ktrans", "run", str(config)]
    rng, kills = random.Random(8), 0
    while kills < KILLS:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
        )
        try:
            process.communicate(timeout=rng.uniform(0.7, 1.3))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert kills > 2
    questdb_server.applied(name)
    expected = {}
    for number in range(FILES):
        for text in lines(number).splitlines()[1:]:
            account, _, _, _, size, _, start, *_ = text.split(" ")
            minute = int(start) // 60
            total = expected.setdefault((account, minute), [0, 0])
            total[0] += int(size)
            total[1] += 1
    found = questdb_server.query(
        f"SELECT account_id, timestamp / 60000000, sum(bytes), sum(flows) FROM {name}"
    )
    assert {(account, minute): [size, flows] for account, minute, size, flows in found} == expected
