"""A database of its own for each test, and a pipeline over it as real processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from ktrans_postgres.config import PostgresStateConfig
from ktrans_postgres.sink import PostgresSink
from ktrans_postgres.sink_config import PostgresSinkConfig
from ktrans_postgres.state import PostgresState

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)


@dataclass
class Database:
    """An empty database of a running server."""

    server: object
    name: str

    @property
    def url(self):
        return self.server.url(self.name)

    def query(self, text):
        return self.server.query(self.name, text)

    def state(self, **options):
        """Return a store over this database, as a process of its own would build it."""
        return PostgresState(PostgresStateConfig(**{"url": self.url, **options}))

    def sink(self, schema, context=None, **options):
        """Return a sink that writes into this database, bound to a schema."""
        config = PostgresSinkConfig(**{"url": self.url, "retry_timeout": 30, **options})
        sink = PostgresSink(config, context)
        sink.bind(schema)
        return sink

    def end_sessions(self):
        """End the sessions of all holders, as a failover or an operator does."""
        found = self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{self.name}' AND application_name LIKE 'ktrans %'"
        )
        return len(found)

    def term(self):
        """Return how often the pipeline has been taken."""
        if self.query("SELECT to_regclass('ktrans.holds')::text") == [(None,)]:
            return 0
        return sum(row[0] for row in self.query("SELECT term FROM ktrans.holds"))


@pytest.fixture
def database(postgres_server):
    return Database(postgres_server, postgres_server.database())


class Site:
    """A folder with logs, a pipeline over them with its state in the database, and its output."""

    def __init__(self, folder, logs, database=None):
        self.folder, self.logs = folder, logs
        self._processes = []
        self.config = folder / "flows.yaml"
        folder.mkdir()
        state = json.dumps({"type": "postgres", "url": database.url}) if database else "{}"
        self.config.write_text(
            f"""
name: flows
source: {{type: file, paths: ["{logs}"]}}
decoder: {{type: aws_vpc}}
sinks: [{{id: lines, type: file, path: lines/, format: {{type: jsonl}}}}]
rejects: {{type: file, path: rejects/, limit: {{ratio: 1.0}}}}
state: {state}
engine: {{workers: 2, epoch_splits: 3, task_size: 20000, retry_wait: 0.01}}
"""
        )

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(self.config), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
            text=True,
        )
        self._processes.append(process)
        return process

    def end(self):
        """End what a test that failed has left running."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def run(self):
        process = self.start()
        _, self.said = process.communicate(timeout=300)
        return process.returncode

    def files(self):
        """Name the files that are published; those that are not lie in hidden folders."""
        return sorted(self.folder.glob("lines/*.jsonl"))

    def rows(self):
        """Return all rows and rejects that were published, as a multiset."""
        found = Counter()
        for path in [*self.files(), *self.folder.glob("rejects/*.jsonl")]:
            for line in path.read_text().splitlines():
                row = json.loads(line)
                place = path.parent.name, row["source_uri"], row["source_pos"]
                found[(*place, row.get("bytes"))] += 1
        return found


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()

    def write(count, lines=200):
        for number in range(count):
            rng = random.Random(number)
            records = [
                f"2 111122223333 eni-{number:04} 10.0.0.{n % 250} 192.0.2.7 {1024 + n} 443 6 3 "
                f"{rng.randrange(40, 99_999)} 1767225600 1767225660 ACCEPT OK"
                for n in range(lines)
            ]
            records.insert(lines // 2, f"2 broken {number}")
            (folder / f"{number:05}.log").write_text("\n".join([HEADER, *records]) + "\n")
        return folder

    return write


@pytest.fixture
def make_site(tmp_path):
    sites = []

    def make(name, logs, database=None):
        sites.append(Site(tmp_path / name, logs, database))
        return sites[-1]

    yield make
    for site in sites:
        site.end()


@pytest.fixture
def eventually():
    """Wait until something is true; fail after a minute."""

    def wait(true, what):
        deadline = time.monotonic() + 60
        while not true():
            if time.monotonic() > deadline:
                pytest.fail(f"this did not come about: {what}")
            time.sleep(0.02)

    return wait


@pytest.fixture
def stopped_server(postgres_server):
    """Stop the server within a block; it is there again afterwards, whatever happens."""

    @contextmanager
    def stopped():
        postgres_server.stop()
        try:
            yield
        finally:
            postgres_server.start()

    return stopped
