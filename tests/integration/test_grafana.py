"""The dashboards of examples/grafana: their queries on real databases with rows that ktrans wrote."""

import datetime as dt
import json
import re
import time
import urllib.parse
import urllib.request
from collections import Counter

import pytest
from prometheus_client import Counter as PromCounter
from ruamel.yaml import YAML

from ktrans.observe.run_status import StatusObserver
from tests.integration.test_configs import ROOT, project, run

__all__ = ["project"]  # a fixture

FOLDER = ROOT / "examples/grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("dashboards/*.json")}
SOURCES = YAML(typ="safe").load(FOLDER / "provisioning/datasources/ktrans.yaml")["datasources"]
LOGS = [dt.datetime(2026, 5, 4, hour, tzinfo=dt.UTC).timestamp() for hour in (7, 10)]
"""The period of examples/aws-logs, in seconds."""
ALL_TIME = [dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp() for year in (2000, 2040)]
STEP = 60


def panels(board):
    """The panels of a dashboard as test parameters: title and query."""
    for panel in BOARDS[board]["panels"]:
        (target,) = panel["targets"]
        query = target.get("expr") or target.get("query") or target["rawSql"]
        yield panel["title"], panel["type"], query


def expanded(query, period, step=STEP, function="to_timestamp"):
    """Fill in what Grafana and its data sources fill in; `function` makes a time of seconds in SQL."""
    start, end = period
    for pattern, text in (
        (r"\$timeFilter", f"time >= {start:.0f}s and time <= {end:.0f}s"),
        (r"\$__interval_ms", str(step * 1000)),
        (r"\$__interval_s", str(step)),
        (r"\$__rate_interval", f"{4 * step}s"),
        (
            r"\$__timeInterval\((\w+)\)",
            rf"toStartOfInterval(toDateTime(\1), INTERVAL {step} second)",
        ),
        (r"\$__timeGroup\((\w+), \$__interval\)", rf"floor(extract(epoch from \1)/{step})*{step}"),
        (r"\$__interval", f"{step}s"),
        (r"\$__range", f"{end - start:.0f}s"),
    ):
        query = re.sub(pattern, text, query)
    low, high = (function + f"({moment:.0f})" for moment in period)
    query = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {low} AND \1 <= {high}", query)
    assert "$" not in query.replace("$tag_", "")
    return query


def promql(url, query, period, step=STEP, kind="timeseries"):
    """The series of an answer; instant at the end of the period unless it is a time series."""
    start, end = period
    form = {"query": expanded(query, period, step)}
    if kind == "timeseries":
        form |= {"start": f"{start}", "end": f"{end}", "step": f"{step}s"}
    else:
        form |= {"time": f"{end}"}
    verb = "query_range" if kind == "timeseries" else "query"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/api/v1/{verb}?{urllib.parse.urlencode(form)}", timeout=60) as answer:
        return json.loads(answer.read())["data"]["result"]


def pipeline(project, name, sink):
    """Write a shipped pipeline with the example files as its source, and another sink if one is given."""
    yaml = YAML(typ="safe")
    path = project / f"configs/{name}.yaml"
    config = yaml.load(path)
    config["source"] = {"type": "file", "paths": ["../examples/aws-logs/AWSLogs/"]}
    config["sinks"] = [{**config["sinks"][0], **sink} if "type" not in sink else sink]
    path.write_text(json.dumps(config))


def remote_write(project, url):
    """Write totals by remote write, and return the receipt."""
    pipeline(project, "s3-to-prometheus", {"labels": {"job": "grafana"}})
    return run(project, "s3-to-prometheus", PROMETHEUS_URL=f"{url}/api/v1/write", FLUSH="at_end")


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_sound(name):
    board = BOARDS[name]
    assert board["uid"].startswith("ktrans-")
    ids = Counter(panel["id"] for panel in board["panels"])
    assert max(ids.values()) == 1
    known = {(source["type"], source["uid"]) for source in SOURCES}
    cells = Counter()
    for panel in board["panels"]:
        for source in (panel["datasource"], *(one["datasource"] for one in panel["targets"])):
            assert (source["type"], source["uid"]) in known
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells.update(
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        )
    assert max(cells.values()) == 1, "panels lie over each other"


def test_uids_and_titles_are_unique():
    for key in ("uid", "title"):
        assert len({board[key] for board in BOARDS.values()}) == len(BOARDS) == 5
    assert len({source["uid"] for source in SOURCES}) == len(SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["prometheus_server", "influx_server"])
def test_totals_by_remote_write(project, request, server):
    url = request.getfixturevalue(server).url  # the second is VictoriaMetrics
    receipt = remote_write(project, url)
    if server == "influx_server":
        urllib.request.urlopen(f"{url}/internal/force_flush", timeout=60).close()
    for title, kind, query in panels("traffic-prometheus"):
        assert promql(url, query, LOGS, kind=kind), title
    queries = {title: query for title, _, query in panels("traffic-prometheus")}
    written = receipt["ledger"]["stages"][0]["out"]["bytes"]
    ours = queries["Rate by verdict"].replace("traffic_bytes", 'traffic_bytes{job="grafana"}')
    for step in (60, 300, 900):  # each total is in one step of any width
        series = promql(url, ours, LOGS, step)
        bits = sum(float(value) for one in series for _, value in one["values"]) * step
        assert bits == pytest.approx(written * 8, rel=1e-9), step
    ours = queries["Bytes"].replace("traffic_bytes", 'traffic_bytes{job="grafana"}')
    (one,) = promql(url, ours, LOGS, kind="stat")
    assert float(one["value"][1]) == written


@pytest.mark.slow
def test_totals_in_influxdb(project, influx1_server):
    influx1_server.create("grafana")
    login = {"user": influx1_server.user, "password": influx1_server.password}
    sink = {"type": "influxdb", "api": "v1", "url": influx1_server.url, "database": "grafana"}
    pipeline(project, "s3-to-influxdb", {**sink, **login, "measurement": "traffic"})
    written = run(project, "s3-to-influxdb")["ledger"]["stages"][0]["out"]["bytes"]
    for title, _, query in panels("traffic-influxdb"):
        assert influx1_server.query("grafana", expanded(query, LOGS)), title
    queries = {title: query for title, _, query in panels("traffic-influxdb")}
    (one,) = influx1_server.query("grafana", expanded(queries["Bytes"], LOGS))
    assert one["values"][0][1] == written
    series = influx1_server.query("grafana", expanded(queries["Rate by verdict"], LOGS))
    bits = sum(value for one in series for _, value in one["values"]) * STEP
    assert bits == pytest.approx(written * 8, rel=1e-9)


@pytest.mark.slow
def test_flows_in_clickhouse(project, clickhouse_server):
    database = clickhouse_server.database()
    environ = {"CLICKHOUSE_URL": clickhouse_server.url, "CLICKHOUSE_DATABASE": database}
    run(project, "clickhouse", **environ)
    for title, _, query in panels("flows-clickhouse"):
        rows = clickhouse_server.query(database, expanded(query, ALL_TIME, function="toDateTime"))
        assert rows, title
        assert rows[0][0] is not None, title


@pytest.mark.slow
def test_flows_in_postgres(project, postgres_server):
    database = postgres_server.database()
    run(project, "postgres", DATABASE_URL=postgres_server.url(database))
    for title, _, query in panels("flows-postgres"):
        rows = postgres_server.query(database, expanded(query, ALL_TIME))
        assert rows, title
        assert rows[0][0] is not None, title


def own_metrics(growth):
    """The metrics of a run, each with a value."""
    status = StatusObserver("flows", 60)
    for metric in vars(status.metrics).values():
        names = getattr(metric, "_labelnames", None)
        if names is None:
            continue
        child = metric.labels("flows", *("value" for _ in names[1:]))
        child.inc(growth) if isinstance(metric, PromCounter) else child.set(growth)
    text = status.metrics.text()
    return re.sub(r"^(ktrans_last_epoch\S+) .*", rf"\g<1> {growth}", text, flags=re.MULTILINE)


def test_metrics_of_ktrans_itself(influx_server):
    now = int(time.time()) // STEP * STEP
    for number in range(10):
        stamp = (now - (9 - number) * STEP) * 1000
        form = urllib.parse.urlencode({"timestamp": stamp})
        url = f"{influx_server.url}/api/v1/import/prometheus?{form}"
        urllib.request.urlopen(url, own_metrics(100 * number).encode(), timeout=60).close()
    urllib.request.urlopen(f"{influx_server.url}/internal/force_flush", timeout=60).close()
    known = set(re.findall(r"^(ktrans_\w+)", own_metrics(1), re.MULTILINE))
    for title, kind, query in panels("runs"):
        assert promql(influx_server.url, query, (now - 5 * STEP, now), kind=kind), title
        assert set(re.findall(r"ktrans_\w+", query)) <= known, title


def test_prometheus_understands_the_queries_too(prometheus_server):
    now = time.time()
    for _, kind, query in panels("runs"):
        promql(prometheus_server.url, query, (now - 600, now), kind=kind)  # else it answers 400
