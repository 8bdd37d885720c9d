"""Real processes that commit to tables and are killed, and two that commit to one table at once."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid

import pytest
from deltalake import DeltaTable
from pyiceberg.catalog import load_catalog

from tests.integration.sites import write_logs

pytestmark = [pytest.mark.slow]

KILLS, ROWS = 20, 60
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


FORKED = """
import os, sys
import boto3, deltalake, ktrans.cli, ktrans.cli.root, pyarrow.compute, pyarrow.csv, pyarrow.parquet
import pyiceberg.catalog.sql, pyiceberg.io.pyarrow, pyiceberg.table
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.argv = ["ktrans", "run", line.strip()]
        ktrans.cli.main()
        os._exit(1)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Runs:
    """Starts runs as processes that are forked from one that has loaded the libraries, which takes long."""

    def __init__(self, site):
        self.config = site.folder / "site.yaml"
        self.log = (site.folder / "runs.log").open("wb")
        self.parent = subprocess.Popen(
            [sys.executable, "-c", FORKED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, **KEYS, "NO_COLOR": "1"},
            text=True,
        )

    def start(self):
        """Start a run; return its process id."""
        self.parent.stdin.write(f"{self.config}\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    def wait(self):
        """Wait until the run ends; return its exit code, or the signal that killed it, negative."""
        return int(self.parent.stdout.readline())

    def close(self):
        self.parent.stdin.close()
        self.parent.wait(60)
        self.parent.stdout.close()
        self.log.close()


def alive(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


class Site:
    """A folder with logs, and pipelines that write them to tables."""

    def __init__(self, folder):
        self.folder = folder
        self.written = {}
        self.catalog = f"sqlite:///{folder}/catalog.db"
        self.sinks = [
            {"id": "delta", "type": "file", "path": "delta/", "table": {"type": "delta"}},
            {
                "id": "iceberg",
                "type": "file",
                "path": "iceberg/",
                "table": {
                    "type": "iceberg",
                    "table": "lake.flows",
                    "catalog": "sql",
                    "uri": self.catalog,
                },
            },
        ]

    def write_config(self, name, columns=None):
        sinks = [{**sink, **({"columns": columns} if columns else {})} for sink in self.sinks]
        pipeline = {
            "name": name,
            "source": {"type": "file", "paths": [str(self.folder / f"logs-{name}")]},
            "decoder": {"type": "aws_vpc"},
            "sinks": sinks,
            "rejects": {"type": "file", "path": f"rejects-{name}/", "limit": {"ratio": 1.0}},
            "state": {"path": f"state-{name}/state.db"},
            "engine": {"workers": 2, "epoch_splits": 2, "task_size": 3000, "retry_wait": 0.01},
        }
        (self.folder / f"{name}.yaml").write_text(json.dumps(pipeline))

    def write_logs(self, name, count):
        first = self.written.get(name, 0)
        write_logs(self.folder / f"logs-{name}", first, count, ROWS)
        self.written[name] = first + count

    def start(self, name):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(self.folder / f"{name}.yaml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **KEYS, "NO_COLOR": "1"},
        )

    def delta(self):
        return DeltaTable(str(self.folder / "delta")).to_pyarrow_table()

    def iceberg(self):
        with load_catalog("default", type="sql", uri=self.catalog) as catalog:
            return catalog.load_table("lake.flows").scan().to_arrow()

    def progress(self):
        """A number that grows whenever a sink publishes or commits."""
        count = 0
        for root in ("delta", "iceberg"):
            for folder, _, names in os.walk(self.folder / root):  # goes on if a folder vanishes
                count += len(names) if "/.ktrans" not in folder else 0
        return count

    def check(self, table):
        """Check that the table has each row of the logs once."""
        rows = list(
            zip(table["source_uri"].to_pylist(), table["source_pos"].to_pylist(), strict=True)
        )
        assert len(rows) == len(set(rows)), "rows are there twice"
        assert len(rows) == ROWS * sum(self.written.values()), "rows are missing"


def test_twenty_kills_and_each_row_is_in_every_table_once(tmp_path, s3_server):
    """Each kill comes a moment after a sink has published files or committed to a table."""
    site, bucket = Site(tmp_path), f"t-{uuid.uuid4().hex}"
    client = s3_server.client("s3")
    client.create_bucket(Bucket=bucket)
    client.close()
    store = {"bucket": bucket, "endpoint_url": s3_server.url, "region": s3_server.region}
    remote = {"id": "s3", "type": "s3", "path": "lake/", "table": {"type": "delta"}}
    site.sinks.append({**remote, **store, "path_style": True})
    site.write_config("site")
    with contextlib.closing(Runs(site)) as runs:
        rng, kills = random.Random(5), 0
        while kills < KILLS:
            site.write_logs("site", 3)
            seen = site.progress()
            process = runs.start()
            while site.progress() == seen and alive(process):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            kills += runs.wait() == -signal.SIGKILL
        runs.start()
        assert runs.wait() == 0, (tmp_path / "runs.log").read_text()[-2000:]
    site.check(site.delta())
    site.check(site.iceberg())
    options = {"aws_endpoint": s3_server.url, "aws_allow_http": "true", "aws_region": "us-east-1"}
    keys = {name.lower(): value for name, value in KEYS.items()}
    table = DeltaTable(f"s3://{bucket}/lake", storage_options={**options, **keys})
    site.check(table.to_pyarrow_table())


def test_two_pipelines_at_once_and_one_with_more_columns(tmp_path):
    site = Site(tmp_path)
    some = ["start_time", "src_addr", "bytes", "source_uri", "source_pos"]
    for name, columns in (("one", some), ("two", None)):
        site.write_config(name, columns)
        site.write_logs(name, 24)
    processes = [site.start(name) for name in ("one", "two")]
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()
    for table in (site.delta(), site.iceberg()):
        site.check(table)
        assert table["dst_addr"].null_count == 24 * ROWS
