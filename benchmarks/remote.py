"""Measures pipelines between real servers on this machine: S3 to S3, to Kafka, to InfluxDB.

The servers run on the same cores, so the wall time is theirs as much as ours: the figure to look at
is our own CPU time, beside that of the same rows from files into files. They are started by
`tests.services`; `make services` installs them. This process stays small (see measure.py).
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets import prepare
from measure import Measured, run

HERE = Path(__file__).parent
WORK = datasets.DATA / "work" / "remote"
SMALL_OBJECTS, QUICK_SMALL_OBJECTS = 10_000, 1_000

FILL = """
import sys, pathlib, boto3
url, bucket, source, copies = sys.argv[1:]
client = boto3.client("s3", endpoint_url=url, region_name="us-east-1",
                      aws_access_key_id="test", aws_secret_access_key="test")
client.create_bucket(Bucket=bucket)
for path in sorted(pathlib.Path(source).glob("*.gz")):
    data = path.read_bytes()
    for copy in range(int(copies)):
        client.put_object(Bucket=bucket, Key=f"in/{copy:06}-{path.name}", Body=data)
"""
TOPIC = """
import sys
from confluent_kafka.admin import AdminClient, NewTopic
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
for future in admin.create_topics([NewTopic(sys.argv[2], 4, 1)]).values():
    future.result(60)
"""


def measure(cases: Sequence[str], *, rounds: int, quick: bool) -> dict[str, dict[str, Any]]:
    """Measure some cases, and print the figures as they come; give them by case and label."""
    servers = Servers()
    results: dict[str, dict[str, Any]] = {}
    try:
        for name in cases:
            print(f"\n{name}", flush=True)
            for label, count, measured in CASES[name](servers, rounds, quick=quick):
                results.setdefault(name, {})[label] = told(label, count, measured)
    finally:
        servers.close()
    return results


def told(label: str, count: int, measured: Measured) -> dict[str, Any]:
    """Print a figure and give it."""
    if measured.exit_code:
        print(f"  {label:34} failed: {measured.error}", flush=True)
        return {"error": measured.error}
    print(
        f"  {label:34} {measured.wall_secs:7.2f} s  {measured.cpu_secs:7.2f} CPU s  "
        f"{count / measured.wall_secs:12,.0f}/s  {count / measured.cpu_secs:12,.0f}/CPU s  "
        f"{measured.rss_mb:5.0f} MB",
        flush=True,
    )
    return {
        "count": count,
        "wall_secs": measured.wall_secs,
        "cpu_secs": measured.cpu_secs,
        "rss_mb": measured.rss_mb,
    }


class Servers:
    """Starts a server when a case first asks for it."""

    def __init__(self) -> None:
        self._running: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """Give a running server."""
        if name not in self._running:
            from tests.services import influx, kafka, moto

            makers: dict[str, Callable[[], Any]] = {
                "s3": moto.S3Server,
                "kafka": kafka.KafkaBroker,
                "influx": influx.InfluxServer,
            }
            self._running[name] = makers[name]()
        return self._running[name]

    def bucket(self, folder: Path, copies: int = 1) -> str:
        """Make a bucket of the objects in a folder."""
        name = f"bench-{uuid.uuid4().hex[:10]}"
        words = [sys.executable, "-c", FILL, self.get("s3").url, name, str(folder), str(copies)]
        subprocess.run(words, check=True)
        return name

    def s3(self, bucket: str) -> dict[str, Any]:
        """Give the options of our S3 components."""
        return {
            "type": "s3",
            "bucket": bucket,
            "endpoint_url": self.get("s3").url,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "path_style": True,
        }

    def close(self) -> None:
        """Stop all servers."""
        for server in self._running.values():
            server.close()


def pipeline(folder: Path, source: dict[str, Any], sink: dict[str, Any], *more: Any) -> list[str]:
    """Write a pipeline file, and give the command that runs it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tree = {
        "name": "bench",
        "source": source,
        "decoder": {"type": "aws_vpc"},
        "enrichers": list(more),
        "sinks": [sink],
    }
    (folder / "p.yaml").write_text(json.dumps(tree))
    return [sys.executable, "-m", "ktrans", "run", "--quiet", str(folder / "p.yaml")]


def median(rounds: int, make: Callable[[int], list[str]], folder: Path) -> Measured:
    """Run a command some times, made anew each time, and give the round with the median CPU."""
    found = [run(make(turn), folder / "log") for turn in range(rounds)]
    broken = [one for one in found if one.exit_code]
    if broken:
        return broken[0]
    middle = statistics.median_low(one.cpu_secs for one in found)
    return next(one for one in found if one.cpu_secs == middle)


def _case(sink: Callable[[Servers, int], dict[str, Any]], *enrichers: Any) -> Any:
    def measure(servers: Servers, rounds: int, *, quick: bool) -> Any:
        data = prepare("v2-parts", quick=quick)
        assert data is not None
        bucket = servers.bucket(data.folder / "objects")
        source = {**servers.s3(bucket), "prefix": "in/"}
        work = WORK / uuid.uuid4().hex[:8]
        files = {"type": "file", "paths": [data.glob]}
        here = {"type": "file", "path": "out/", "format": {"type": "jsonl"}}
        yield (
            "files to JSON lines in files",
            data.rows,
            median(rounds, lambda turn: pipeline(work / f"f{turn}", files, here, *enrichers), work),
        )
        yield (
            "from S3",
            data.rows,
            median(
                rounds,
                lambda turn: pipeline(work / f"s{turn}", source, sink(servers, turn), *enrichers),
                work,
            ),
        )
        shutil.rmtree(work, ignore_errors=True)

    return measure


def _to_s3(servers: Servers, turn: int) -> dict[str, Any]:
    bucket = servers.bucket(WORK / "none")
    return {**servers.s3(bucket), "path": f"out/{turn}/", "format": {"type": "parquet"}}


def _to_kafka(servers: Servers, turn: int) -> dict[str, Any]:
    topic = f"bench-{uuid.uuid4().hex[:10]}-{turn}"
    bootstrap = servers.get("kafka").bootstrap
    subprocess.run([sys.executable, "-c", TOPIC, bootstrap, topic], check=True)
    return {"type": "kafka", "bootstrap_servers": [bootstrap], "topic": topic}


def _to_influxdb(servers: Servers, turn: int) -> dict[str, Any]:
    return {
        "type": "influxdb",
        "url": servers.get("influx").url,
        "org": "o",
        "bucket": "b",
        "token": "a-token",
        "measurement": f"bench_{uuid.uuid4().hex[:10]}_{turn}",
    }


def _small_objects(servers: Servers, rounds: int, *, quick: bool) -> Any:
    """Many objects of about 50 kB: are they listed, planned and read fast, in flat memory?"""
    objects = QUICK_SMALL_OBJECTS if quick else SMALL_OBJECTS
    folder = WORK / "small"
    shutil.rmtree(folder, ignore_errors=True)
    options = "log='aws_vpc_v2', rows=1800, rows_per_object=1800, compression='gzip'"
    code = (
        "from pathlib import Path; from ktrans_generate.source import *; "
        f"write_files(Path({str(folder)!r}), GenerateSourceConfig({options}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for count in (objects // 10, objects):
        bucket = servers.bucket(folder, count)
        source = {**servers.s3(bucket), "prefix": "in/"}
        work = WORK / uuid.uuid4().hex[:8]

        def planned(turn: int, source: Any = source, work: Path = work) -> list[str]:
            words = pipeline(work / f"p{turn}", source, {"type": "blackhole"})
            return [*words[:3], "plan", "--json", words[-1]]

        def read(turn: int, source: Any = source, work: Path = work) -> list[str]:
            return pipeline(work / f"r{turn}", source, {"type": "blackhole"})

        yield f"{count} objects planned", count, median(rounds, planned, work)
        yield f"{count} objects read", count, median(1, read, work)
        shutil.rmtree(work, ignore_errors=True)


CASES: dict[str, Any] = {
    "s3-s3": _case(_to_s3),
    "s3-kafka": _case(_to_kafka),
    "s3-influxdb": _case(_to_influxdb),
    "small-objects-s3": _small_objects,
}
