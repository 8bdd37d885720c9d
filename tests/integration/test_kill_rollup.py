"""Rollups in processes that die at random moments: totals are those of a run nobody disturbed."""

import datetime as dt
import json
import random
import signal
import subprocess
from collections import Counter

import duckdb
import pytest
import yaml

KILLS = 20
ROLLUP = """
enrichers:
  - type: rollup
    window: 1h
    group_by: [dst_port, action]
    aggregates:
      bytes: sum
      packets: sum
      flows: count
      largest: {max: bytes}
      peers: {distinct: src_addr}
    lateness: LATENESS
    flush: FLUSH
"""


def configure(site, lateness="4d", flush="at_end", executor="threads"):
    """Put a rollup before JSON lines, in many small epochs of several tasks."""
    site.write_config(epoch_splits=8, task_size=15_000, executor=executor)
    text = site.config.read_text()
    sinks = text.index("sinks:")
    lines = text.index("  - id: lines")
    rollup = ROLLUP.replace("LATENESS", lateness).replace("FLUSH", flush)
    site.config.write_text(text[:sinks] + rollup.lstrip() + "sinks:\n" + text[lines:])


def totals(site):
    """Return the published totals as a multiset, without the epoch of corrections."""
    rows = Counter()
    for path in site.visible("lines"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            row.pop("revision", None)
            rows[tuple(sorted(row.items()))] += 1
    return rows


def sums(site):
    """Return bytes, packets and flows by window and group, corrections added."""
    return sums_of(path.read_text() for path in site.visible("lines"))


def sums_of(texts):
    """Return the same of the content of files."""
    found = {}
    for text in texts:
        for line in text.splitlines():
            row = json.loads(line)
            key = row["window_start"], row["dst_port"], row["action"]
            old = found.get(key, (0, 0, 0))
            found[key] = tuple(
                a + b
                for a, b in zip(old, (row["bytes"], row["packets"], row["flows"]), strict=True)
            )
    return found


def by_duckdb(logs):
    """Compute the same from the logs themselves."""
    with duckdb.connect() as db:
        answer = db.execute(
            f"""
            select strftime(to_timestamp(f[11]::bigint - f[11]::bigint % 3600) at time zone 'UTC',
                '%Y-%m-%dT%H:%M:%S.%fZ'), f[7]::int, lower(f[13]),
                sum(f[10]::bigint), sum(f[9]::bigint), count(*)
            from (select string_split(line, ' ') as f from read_csv('{logs}/*.gz', delim='\t',
                header=false, auto_detect=false, quote='', columns={{'line': 'VARCHAR'}}))
            where f[14] = 'OK'
            group by all
            """
        ).fetchall()
    return {(w, p, a): (int(b), int(k), n) for w, p, a, b, k, n in answer}


def killed_until_done(site, logs, kills, files, most=140, slower=1):
    """Kill runs at random moments; new files arrive whenever one gets through."""
    rng = random.Random(11)
    killed = 0
    while killed < kills:
        process = site.start()
        try:
            process.communicate(timeout=slower * rng.uniform(0.4, 1.1))
            if files < most:
                logs(files, 10)
                files += 10
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
    assert site.run() == 0, site.stderr
    return files


@pytest.mark.slow
def test_totals_after_twenty_kills_are_those_of_an_undisturbed_run(site, clean, logs):
    """Lateness covers all: each total comes out once, whole, distinct counts included."""
    folder = logs(0, 60)
    configure(site, flush="never")
    killed_until_done(site, logs, KILLS, 60)
    assert totals(site) == Counter()
    configure(site)
    assert site.run() == 0, site.stderr
    configure(clean)
    assert clean.run() == 0, clean.stderr
    assert totals(site) == totals(clean)
    assert set(totals(site).values()) == {1}
    assert sums(site) == by_duckdb(folder)
    assert site.hidden() == []
    assert site.receipt["outcome"] == "done"
    assert site.run() == 0
    assert site.receipt["outcome"] == "nothing_to_do"


@pytest.mark.slow
def test_totals_of_tasks_in_other_processes_are_exact_after_kills(site, logs):
    """They are killed with the run; what the tasks made is lost, and made again."""
    folder = logs(0, 60)
    configure(site, executor="processes", flush="never")
    killed_until_done(site, logs, KILLS // 2, 60, slower=3)
    configure(site, executor="processes")
    assert site.run() == 0, site.stderr
    assert sums(site) == by_duckdb(folder)
    assert set(totals(site).values()) == {1}
    assert site.hidden() == []


@pytest.mark.slow
def test_sums_with_corrections_are_exact_after_twenty_kills(site, logs):
    """No lateness at all, and files that come later: totals and corrections add up."""
    folder = logs(0, 30)
    configure(site, lateness="0s")
    files = killed_until_done(site, logs, KILLS, 30)
    assert sums(site) == by_duckdb(folder)
    assert sum(flows for _, _, flows in sums(site).values()) == files * 300
    assert site.hidden() == []


@pytest.mark.slow
@pytest.mark.service("influx1")
def test_running_totals_in_influxdb_are_exact_after_kills(site, logs, influx1_server, tmp_path):
    """A point is written again whenever its total changes, and replaces what was there."""
    database = f"r{tmp_path.name.replace('-', '_')}{random.SystemRandom().randrange(10**9)}"
    influx1_server.create(database)
    folder = logs(0, 20)
    site.write_config(epoch_splits=3)
    text = site.config.read_text()
    sinks, rest = text.index("sinks:"), text.index("rejects:")
    rollup = ROLLUP.replace("LATENESS", "4d").replace("FLUSH", "never")
    target = {
        "type": "influxdb",
        "api": "v1",
        "url": influx1_server.url,
        "database": database,
        "user": influx1_server.user,
        "password": influx1_server.password,
    }
    made = f"{rollup.lstrip()}    emit: running\nsinks:\n  - {json.dumps(target)}\n"
    site.config.write_text(text[:sinks] + made + text[rest:])
    killed_until_done(site, logs, 8, 20)
    found = {}
    for series in influx1_server.query(database, "SELECT * FROM flow"):
        for values in series["values"]:
            row = dict(zip(series["columns"], values, strict=True))
            moment = dt.datetime.fromtimestamp(row["time"] // 10**9, dt.UTC)
            key = f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}", int(row["dst_port"]), row["action"]
            assert key not in found
            found[key] = row["bytes"], row["packets"], row["flows"]
    assert found == by_duckdb(folder)


@pytest.mark.slow
@pytest.mark.service("s3")
def test_totals_of_a_bucket_in_a_bucket_are_exact_after_kills(site, logs, s3_server, tmp_path):
    """Tasks in other processes read objects, and the run uploads what they come to."""
    client, bucket = s3_server.client("s3"), f"r-{random.SystemRandom().randrange(10**9)}"
    client.create_bucket(Bucket=bucket)
    access = {
        "type": "s3",
        "bucket": bucket,
        "endpoint_url": s3_server.url,
        "region": s3_server.region,
        "access_key_id": "testing",
        "secret_access_key": "testing",
        "path_style": True,
    }

    def put(first, count):
        folder = logs(first, count)
        for number in range(first, first + count):
            name = f"{number:05}.log.gz"
            client.upload_file(str(folder / name), bucket, f"logs/{name}")
        return folder

    folder = put(0, 40)
    tree = {
        "name": "totals",
        "source": {**access, "prefix": "logs/"},
        "decoder": {"type": "aws_vpc"},
        **yaml.safe_load(ROLLUP.replace("LATENESS", "1h").replace("FLUSH", "at_end")),
        "sinks": [{**access, "path": "totals/", "format": {"type": "jsonl"}}],
        "rejects": {**access, "path": "rejects/", "format": {"type": "jsonl"}},
        "state": {"path": str(tmp_path / "state.db")},
        "engine": {
            "workers": 2,
            "executor": "processes",
            "epoch_splits": 8,
            "task_size": 15_000,
            "retry_wait": 0.01,
        },
    }
    site.config.write_text(json.dumps(tree))
    killed_until_done(site, put, 8, 40, most=70, slower=4)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    bodies = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
              for key in keys if not key.startswith("logs/")}  # fmt: skip
    assert sums_of(text for key, text in bodies.items() if key.startswith("totals/")) == by_duckdb(
        folder
    )
    files = sum(key.startswith("logs/") for key in keys)
    rejects = [text for key, text in bodies.items() if key.startswith("rejects/")]
    assert sum(len(text.splitlines()) for text in rejects) == files * 3
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
