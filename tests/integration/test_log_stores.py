"""Real processes that write to real stores of logs and metrics: VictoriaLogs, VictoriaMetrics."""

import json
import os
import random
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

import pytest

from ktrans.testing.http_stub import HttpStub
from tests.integration.sites import write_logs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ROWS, FILES, KILLS = 200, 4, 5


class Store:
    """A folder with logs and a pipeline that writes to a server."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = 0

    def write_logs(self, first=0, count=FILES):
        write_logs(self.folder / "logs", first, count, rows=ROWS, bad=0)
        self.rows += count * ROWS

    def write_config(self, sinks, *enrichers):
        pipeline = {
            "name": "site",
            "source": {"type": "file", "paths": ["logs/"]},
            "decoder": {"type": "aws_vpc"},
            "enrichers": list(enrichers),
            "sinks": [{**sink, "batch_rows": 150} for sink in sinks],
            "state": {"path": "state/state.db"},
            "engine": {"workers": 2, "epoch_splits": 4, "task_size": 20000},
        }
        (self.folder / "p.yaml").write_text(json.dumps(pipeline))

    def start(self, verb="run", *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", verb, "p.yaml", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self, verb="run", *arguments):
        process = self.start(verb, *arguments)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out.decode()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def loki(url, name):
    sink = {"type": "loki", "url": f"{url}/insert", "labels": {"job": name}}
    return {**sink, "label_columns": ["account_id", "action"]}, f'job:="{name}"'


def elasticsearch(url, name):
    """A column tells the rows of a test: VictoriaLogs knows no indices."""
    others = 'job:"" service:"" "service.name":""'
    return {
        "type": "elasticsearch",
        "url": f"{url}/insert/elasticsearch",
    }, f'test:="{name}" {others}'


def datadog(url, name):
    sink = {"type": "datadog", "url": f"{url}/insert/datadog", "api_key": "none", "service": name}
    return sink, f'service:="{name}"'


def otlp(url, name):
    sink = {"type": "otlp", "url": f"{url}/insert/opentelemetry", "service": name}
    return sink, f'"service.name":="{name}"'


def found(logs_server, query):
    """What tells the rows of all entries apart, with their numbers."""
    entries = []
    for entry in logs_server.query(query):
        if entry.get("_msg", "").startswith("{"):
            entry.update(json.loads(entry["_msg"]))
        entries.append((entry["source_uri"], int(entry["source_pos"])))
    return Counter(entries)


def test_each_row_arrives_in_victorialogs_by_each_of_its_protocols(store, logs_server):
    name = f"t{uuid.uuid4().hex[:10]}"
    sinks, queries = [], []
    for make in (loki, elasticsearch, datadog, otlp):
        sink, query = make(logs_server.url, name)
        sinks.append({"id": make.__name__, **sink})
        queries.append(query)
    store.write_config(sinks, {"type": "derive", "columns": {"test": f"'{name}'"}})
    store.write_logs()
    store.run("validate", "--connect")
    assert [found(logs_server, query) for query in queries] == [Counter()] * 4
    store.run()
    for query in queries:
        rows = found(logs_server, query)
        assert len(rows) == store.rows
        assert set(rows.values()) == {1}


def test_records_of_opentelemetry_arrive_with_their_resources(store, logs_server):
    name = f"t{uuid.uuid4().hex[:10]}"
    sink, query = otlp(logs_server.url, name)
    store.write_config([sink], {"type": "to_otel"})
    store.write_logs()
    store.run()
    entries = logs_server.query(query)
    assert len(entries) == store.rows
    assert {entry["cloud.provider"] for entry in entries} == {"aws"}
    assert {entry["destination.port"] for entry in entries} == {"22", "53", "443"}
    assert sum(int(entry["flow.bytes"]) for entry in entries) > 0


def test_through_kills_and_an_outage_each_row_arrives_at_least_once(store, logs_server):
    name = f"t{uuid.uuid4().hex[:10]}"
    sink, query = loki(logs_server.url, name)
    store.write_config([sink])
    store.write_logs()
    rng, kills, files = random.Random(5), 0, FILES
    while kills < KILLS:
        process = store.start()
        try:
            process.communicate(timeout=rng.uniform(0.6, 1.3))
            store.write_logs(files, 8)
            files += 8
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    store.write_logs(files, 8)
    logs_server.server.stop()
    process = store.start()
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=2.5)
    logs_server.server.start()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out.decode()
    assert len(found(logs_server, query)) == store.rows


def test_totals_arrive_in_victoriametrics(store, influx_server):
    prefix = f"t{uuid.uuid4().hex[:10]}_"
    rollup = {
        "type": "rollup",
        "window": "1h",
        "group_by": ["action"],
        "flush": "at_end",
        "aggregates": {"bytes": "sum", "flows": "count", "sources": {"distinct": "src_addr"}},
    }
    sink = {"type": "otlp", "url": f"{influx_server.url}/opentelemetry", "signal": "metrics"}
    store.write_config([{**sink, "metric_prefix": prefix, "gauges": ["sources"]}], rollup)
    store.write_logs()
    store.run()
    urllib.request.urlopen(f"{influx_server.url}/internal/force_flush").close()
    query = {"match[]": f'{{__name__=~"{prefix}.*"}}', "start": "0", "end": "4102444800"}
    url = f"{influx_server.url}/api/v1/export?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url) as answer:
        series = [json.loads(line) for line in answer]
    sums = Counter()
    for each in series:
        assert each["metric"]["action"] in {"accept", "reject"}
        assert all(time % 3_600_000 == 0 for time in each["timestamps"])
        sums[each["metric"]["__name__"].removeprefix(prefix)] += sum(each["values"])
    assert sums["flows"] == store.rows
    assert sums["bytes"] > sums["sources"] > 0


def test_the_shipped_pipelines_run(tmp_path, logs_server):
    """To a stub where there is no server."""
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("compose"))
    taken = Counter()

    def answer(request):
        if request.path == "/services/collector/event":
            taken["splunk"] += len(request.json_lines())
            return 200, {}, b'{"text": "Success", "code": 0}'
        taken["new-relic"] += len(request.json()[0]["logs"])
        return 202, {}, b"{}"

    names = ("loki", "splunk", "datadog", "new-relic", "otlp")
    with HttpStub(answer) as stub:
        environ = {
            "LOKI_URL": f"{logs_server.url}/insert",
            "SPLUNK_HEC_URL": stub.url,
            "DD_LOGS_URL": f"{logs_server.url}/insert/datadog",
            "NEW_RELIC_URL": f"{stub.url}/log/v1",
            "OTLP_URL": f"{logs_server.url}/insert/opentelemetry",
        }
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ktrans",
                "run",
                "--json",
                *(f"configs/{n}.yaml" for n in names),
            ],
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    receipts = {receipt["pipeline"]: receipt["ledger"] for receipt in json.loads(done.stdout)}
    written = {
        name: stage["out"]["rows"]
        for name in names
        for stage in receipts[name]["stages"]
        if stage["kind"] == "sink"
    }
    assert min(written.values()) > 100
    assert taken == {name: written[name] for name in taken}
    for name, field in (("loki", "service_name"), ("datadog", "service"), ("otlp", "service.name")):
        assert len(logs_server.query(f'"{field}":="flow-logs"')) == written[name]


def test_a_wrong_token_ends_with_77_and_is_not_shown(store):
    store.write_logs(count=1)
    with HttpStub(lambda request: (401, {}, request.headers["authorization"].encode())) as stub:
        store.write_config([{"type": "http", "url": stub.url, "token": "wrong-token-of-somebody"}])
        for arguments in (("run",), ("validate", "--connect")):
            process = store.start(*arguments)
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 77, out.decode()
            assert b"answers 401" in out
            assert b"wrong-token" not in out
