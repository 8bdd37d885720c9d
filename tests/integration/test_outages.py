"""The system behind a sink goes away and comes back: what operators see, and each row once."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter

import pytest

from tests.integration.ends import Kafka, lines

GRACE = 4
SOON = 90


class KafkaEnd:
    """A broker with a topic of its own."""

    def __init__(self, broker):
        self.server = broker
        self.end = Kafka(broker)

    def sink(self):
        return {**self.end.sink(), "connect_timeout": 30}

    def rows(self):
        return self.end.rows()


class InfluxEnd:
    """VictoriaMetrics with a measurement of its own."""

    def __init__(self, server):
        self.server = server._server
        self.influx = server
        self.name = f"flow{uuid.uuid4().hex[:10]}"

    def sink(self):
        return {
            "type": "influxdb",
            "url": self.influx.url,
            "org": "o",
            "bucket": "b",
            "timeout": 5,
            "measurement": self.name,
            "tags": [],
            "fields": ["bytes"],
            "uniqueness": "row_tag",
        }

    def rows(self):
        return Counter(int(value) for _, _, value in self.influx.export(self.name)["bytes"])


@pytest.fixture(params=["kafka", "influx"])
def end(request):
    if request.param == "kafka":
        made = KafkaEnd(request.getfixturevalue("kafka_broker"))
    else:
        made = InfluxEnd(request.getfixturevalue("influx_server"))
    stop, start = made.server.stop, made.server.start
    down = []
    made.stop = lambda: (stop(), down.append(True))
    made.start = lambda: (start(), down.clear())
    yield made
    if down:
        start()


class Follower:
    """A process that follows a folder and writes to an end."""

    def __init__(self, folder, end):
        self.folder = folder
        (folder / "in").mkdir()
        config = {
            "name": f"p{uuid.uuid4().hex[:8]}",
            "source": {"type": "file", "paths": ["in/*.log"]},
            "decoder": {"type": "aws_vpc"},
            "sinks": [{"id": "there", **end.sink()}],
            "engine": {"poll_interval": 0.2, "grace_period": GRACE, "workers": 1},
        }
        (folder / "p.yaml").write_text(json.dumps(config))
        self.log = folder / "log"
        self.start()

    def start(self):
        command = [sys.executable, "-m", "ktrans", "run", "-v", "--follow", "--http", "127.0.0.1:0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "p.yaml"], cwd=self.folder, stderr=log, stdout=log
            )
        found = until(lambda: re.search(r"http://[\d.]+:\d+", self.log.read_text()))
        self.url = found[0]

    def fill(self, part):
        path = self.folder / f"{part}.log"
        path.write_text("\n".join(lines(part)) + "\n")
        path.rename(self.folder / "in" / path.name)

    def get(self, path):
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def events(self):
        found = [json.loads(x) for x in self.log.read_text().splitlines() if x.startswith("{")]
        return Counter(line.get("event") for line in found)

    def outage_secs(self):
        found = re.search(
            r"^ktrans_outage_seconds\{.*?\} ([\d.e+]+)$", self.get("/metrics")[1], re.MULTILINE
        )
        return float(found[1]) if found else None


def until(found, secs=SOON):
    deadline = time.monotonic() + secs
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value


@pytest.fixture
def follower(tmp_path, end):
    made = Follower(tmp_path, end)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.slow
def test_an_outage_is_seen_in_log_metrics_and_readiness_and_rows_arrive_once(end, follower):
    follower.fill(0)
    until(lambda: follower.events()["epoch_committed"], secs=2 * SOON)
    until(lambda: follower.get("/readyz")[0] == 200)
    end.stop()
    follower.fill(1)
    until(lambda: follower.events()["outage"] or follower.events()["retrying"])
    _, why = until(lambda: (found := follower.get("/readyz"))[0] == 503 and found)
    assert "there" in why
    assert until(follower.outage_secs) > 0
    end.start()
    until(lambda: follower.get("/readyz")[0] == 200)
    until(lambda: follower.events()["epoch_committed"] == 2)
    assert follower.outage_secs() == 0
    follower.process.send_signal(signal.SIGTERM)
    assert follower.process.wait(GRACE + 15) in (0, 75)
    assert follower.events()["outage_over"] >= 1
    assert set(end.rows().values()) == {1}
    assert len(end.rows()) == 80


@pytest.mark.slow
def test_sigterm_ends_the_process_during_an_outage(end, follower):
    follower.fill(0)
    until(lambda: follower.events()["epoch_committed"], secs=2 * SOON)
    end.stop()
    follower.fill(1)
    until(lambda: follower.events()["outage"])
    began = time.monotonic()
    follower.process.send_signal(signal.SIGTERM)
    assert follower.process.wait(GRACE + 30) in (0, 75)
    assert time.monotonic() - began < GRACE + 8
    end.start()
    follower.start()
    until(lambda: follower.events()["epoch_committed"], secs=2 * SOON)
    follower.process.send_signal(signal.SIGTERM)
    follower.process.wait(GRACE + 30)
    assert set(end.rows().values()) == {1}
    assert len(end.rows()) == 80
