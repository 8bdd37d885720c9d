"""Traces of real runs, as a collector gets them over the wire."""

import json
import socket
import subprocess
import sys
from collections import Counter

import pytest
from ktrans_otel import configured
from ktrans_otel.export import WarningExporter
from ktrans_otel.traces import Traces
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ERROR = 2
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c/v1/metrics"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
    ],
)
def test_the_standard_variables_switch_it_on_and_off(environ, on):
    assert configured(environ) is on


def test_without_an_endpoint_the_sdk_is_not_imported(project):
    code = (
        "import sys\nfrom ktrans.cli.failures import guarded\nfrom ktrans.cli.root import cli\n"
        "assert guarded(cli, ['run', 'watched.yaml']) == 0\n"
        "print('ktrans_otel' in sys.modules, any('opentelemetry' in m for m in sys.modules))"
    )
    environ = {"PATH": "", "HOME": str(project)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environ, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["True", "False"]


@pytest.mark.slow
def test_a_run_is_one_tree_of_spans(collector, ktrans):
    result = ktrans(
        "run", "--workers", "2", "watched.yaml", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
    )
    assert (result.returncode, result.stderr) == (0, "")
    spans = collector.spans
    by_id = {span.span_id: span for span in spans}
    assert len({span.trace_id for span in spans}) == 1
    (root,) = [span for span in spans if not span.parent_span_id]
    assert root.name == "run watched"
    tree = Counter((by_id[s.parent_span_id].name, s.name) for s in spans if s is not root)
    assert tree["run watched", "epoch of watched"] == 1
    assert tree["epoch of watched", "task of watched"] == 2
    for sink in ("lake", "lines", "rejects"):
        assert tree["epoch of watched", f"commit {sink}"] == 1
        assert tree["task of watched", f"finish {sink}"] == 2
    for stage in ("read", "decode", "enrich enrichers[0] services", "encode lake", "write lines"):
        assert tree["task of watched", stage] == 2
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        above = by_id.get(span.parent_span_id)
        if above is not None:
            assert above.start_time_unix_nano <= span.start_time_unix_nano
    assert collector.resource["service.name"] == "ktrans"
    assert collector.resource["service.version"]
    seen = collector.attributes(root)
    assert seen["ktrans.run.outcome"] == "done"
    assert (seen["ktrans.rows"], seen["ktrans.rejects"], seen["process.exit.code"]) == (80, 0, 0)
    assert seen["ktrans.source"][0].startswith("file file/")
    (epoch,) = [span for span in spans if span.name == "epoch of watched"]
    assert collector.attributes(epoch)["ktrans.sink.lake.rows"] == 80
    tasks = [collector.attributes(s) for s in spans if s.name == "task of watched"]
    assert [task["ktrans.rows"] for task in tasks] == [40, 40]
    (read, *_) = [collector.attributes(s) for s in spans if s.name == "read"]
    assert read["ktrans.stage.calls"] >= 1
    assert read["ktrans.stage.busy_seconds"] > 0


@pytest.mark.slow
def test_a_run_is_part_of_the_trace_that_started_it(collector, ktrans):
    ktrans(
        "run",
        "watched.yaml",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
        OTEL_SERVICE_NAME="flows",
        TRACEPARENT=f"00-{TRACE}-{PARENT}-01",
    )
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    (run,) = [span for span in collector.spans if span.name == "run watched"]
    assert run.parent_span_id.hex() == PARENT
    assert collector.resource["service.name"] == "flows"


@pytest.mark.slow
def test_a_failed_run_says_why(collector, ktrans, project):
    (project / "out").write_text("in the way of the folder")
    result = ktrans("run", "watched.yaml", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert result.returncode != 0
    (run,) = [span for span in collector.spans if span.name == "run watched"]
    assert run.status.code == ERROR
    assert "out" in run.status.message
    seen = collector.attributes(run)
    assert seen["ktrans.run.outcome"] == "failed"
    assert seen["process.exit.code"] == result.returncode
    assert f"error[{seen['error.type']}]" in result.stderr
    (event,) = [event for event in run.events if event.name == "exception"]
    assert collector.attributes(event)["exception.message"] == run.status.message


def test_a_run_that_follows_links_its_epochs_to_itself():
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(WarningExporter(memory)))
    traces = Traces(provider, lambda: None)
    run = {
        "pipeline": "p", "run_id": "r", "began": 1.0, "dry_run": False, "replay": False,
        "follow": True, "workers": 1, "inputs": [], "outputs": [], "decoder": "auto",
        "enrichers": [],
    }  # fmt: skip
    epoch = {
        "id": 1, "began": 2.0, "planned": "2026-11-23T00:00:00+00:00", "resumed": True,
        "status": "planned", "tasks": 1, "splits": 1, "input_bytes": 5,
    }  # fmt: skip
    retry = {
        "at": 1.5, "attempt": 1, "wait_secs": 0.5, "code": "busy", "type": "RetryableError",
        "message": "slow down", "task": None, "epoch": None,
    }  # fmt: skip
    counts = {"records": 1, "decoded": {"rows": 1}, "rejected": {}, "refused": {}}
    done = {"id": 1, "ended": 3.0, "ledger": counts, "quarantined": [], "sinks": {}, "stages": []}
    receipt = {
        "error": None, "outcome": "stopped", "resumed": True, "exit_code": 0, "epochs": 1,
        "splits": 1, "input_bytes": 5, "ledger": counts, "retries": 1, "quarantined": [],
    }  # fmt: skip
    traces.run_opened(run, {})
    traces.retrying(run, retry)
    traces.epoch_started(run, epoch)
    traces.epoch_committed(run, done)
    traces.run_finished(run, receipt)
    of_epoch, of_run = memory.get_finished_spans()
    assert of_epoch.context.trace_id != of_run.context.trace_id
    assert of_epoch.links[0].context.span_id == of_run.context.span_id
    assert of_epoch.attributes["ktrans.epoch.resumed"] is True
    assert [(event.name, event.timestamp) for event in of_run.events] == [("retry", 1_500_000_000)]


def nobody():
    """Return a bound socket that does not listen."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder


@pytest.mark.slow
@pytest.mark.parametrize("how", ["down", "refuses", "silent"])
def test_a_collector_that_is_no_help_changes_nothing(collector, ktrans, project, how):
    with nobody() as holder:
        port = holder.getsockname()[1]
        if how == "silent":
            holder.listen()
        collector.status = 500
        url = collector.url if how == "refuses" else f"http://127.0.0.1:{port}"
        result = ktrans("run", "--receipt", "receipt.json", "watched.yaml",
                      OTEL_EXPORTER_OTLP_ENDPOINT=url, flush_secs=1)  # fmt: skip
    receipt = json.loads((project / "receipt.json").read_text())
    assert result.returncode == 0
    assert (receipt["outcome"], receipt["ledger"]["decoded"]["rows"]) == ("done", 80)
    (line,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (line["event"], line["level"]) == ("traces_not_sent", "warning")


@pytest.mark.slow
def test_no_secret_leaves_the_machine(collector, ktrans, project):
    pipeline = (project / "watched.yaml").read_text()
    kafka = (
        "  - {id: k, type: kafka, bootstrap_servers: ['127.0.0.1:1'], topic: t, username: u,\n"
        "     sasl_mechanism: PLAIN, password: '${env:SECRET}', connect_timeout: 1,\n"
        "     delivery_timeout: 1}\n"
    )
    (project / "watched.yaml").write_text(
        pipeline.replace("rejects:", kafka + "rejects:") + "engine: {attempts: 1}\n"
    )
    result = ktrans(
        "run", "watched.yaml", SECRET="open sesame", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
    )
    assert result.returncode != 0
    assert any(span.status.code == ERROR for span in collector.spans)
    assert b"sesame" not in b"".join(collector.bodies)
