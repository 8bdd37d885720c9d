"""Cases between real servers on this machine: S3 to S3, to Kafka, to InfluxDB; many small objects."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contender import PYTHON, Case, Contender, files, pipeline, to_files
from datasets import Prepared
from servers import FETCH, SERVERS

_SHARED = "The servers run on the same cores: compare CPU, which is that of ktrans alone."
SMALL_OBJECTS = 2_000


def from_s3(
    name: str,
    sink: Callable[[], dict[str, Any]],
    *,
    form: str = "",
    fetch: Any = None,
    engine: dict[str, Any] | None = None,
) -> Contender:
    """Return `ktrans run` from a bucket into a sink that is made anew for each run."""

    def command(data: Prepared, folder: Path) -> list[str]:
        source = {**SERVERS.s3(SERVERS.filled(data.folder / "objects")), "prefix": "in/"}
        return pipeline(folder, source, sink(), engine=engine or {})

    return Contender(name, command, form=form, ours=True, fetch=fetch)


def from_files(name: str, form: str) -> Contender:
    """Return `ktrans run` from files to files, to compare with."""

    def command(data: Prepared, folder: Path) -> list[str]:
        return pipeline(folder, files(data), to_files(form))

    return Contender(name, command, form=form, ours=True)


class _Bucket:
    """A bucket for the output of a run: made before it, downloaded and emptied after it."""

    def __init__(self) -> None:
        self.name = ""

    def sink(self) -> dict[str, Any]:
        """Return a sink into a new bucket."""
        self.name = SERVERS.empty()
        return {**SERVERS.s3(self.name), "path": "out/", "format": {"type": "parquet"}}

    def fetch(self, _data: Prepared, folder: Path) -> list[str]:
        """Return the command that downloads what is in the bucket, and removes it there."""
        return [PYTHON, "-c", FETCH, SERVERS.get("s3").url, self.name, str(folder / "out")]


def to_s3(name: str, engine: dict[str, Any] | None = None) -> Contender:
    """Return `ktrans run` from S3 to S3."""
    bucket = _Bucket()
    return from_s3(name, bucket.sink, form="parquet", fetch=bucket.fetch, engine=engine)


def s3_executors() -> tuple[Contender, ...]:
    """Return S3 to S3 with each executor, with one worker and with two."""
    return tuple(
        to_s3(
            f"{executor}, {workers} worker{'s' * (workers > 1)}",
            {"executor": executor, "workers": workers, "task_size": "8MiB"},
        )
        for executor in ("threads", "processes")
        for workers in (1, 2)
    )


def _influxdb() -> dict[str, Any]:
    return {
        "type": "influxdb",
        "url": SERVERS.get("influx").url,
        "org": "o",
        "bucket": "b",
        "token": "a-token",
        "measurement": f"bench_{uuid.uuid4().hex[:10]}",
    }


def small(name: str, *, objects: int, read: bool) -> Contender:
    """Return a contender that plans, or reads, a bucket of small objects."""

    def command(data: Prepared, folder: Path) -> list[str]:
        bucket = SERVERS.filled(data.folder / "objects", objects)
        source = {**SERVERS.s3(bucket), "prefix": "in/"}
        words = pipeline(folder, source, {"type": "blackhole"})
        return words if read else [*words[:3], "plan", "--json", words[-1]]

    return Contender(name, command, form="", ours=True, count=objects)


REMOTE: dict[str, Case] = {
    "s3-s3": Case(
        "S3 to S3, as Parquet, by executor",
        "v2-parts",
        (from_files("files to files", "parquet"), *s3_executors()),
        _SHARED,
        servers=("s3",),
        rounds=3,
    ),
    "s3-kafka": Case(
        "S3 to Kafka, a JSON record a flow",
        "v2-parts",
        (from_files("files to JSON lines", "jsonl"), from_s3("S3 to Kafka", SERVERS.topic)),
        _SHARED,
        servers=("s3", "kafka"),
        rounds=2,
    ),
    "s3-influxdb": Case(
        "S3 to InfluxDB's line protocol",
        "v2-parts",
        (from_files("files to line protocol", "influx"), from_s3("S3 to InfluxDB", _influxdb)),
        _SHARED,
        servers=("s3", "influx"),
        rounds=2,
    ),
    "small-objects-s3": Case(
        "Objects of 1,800 rows in S3",
        "v2-tiny",
        (
            small(f"{SMALL_OBJECTS // 10} planned", objects=SMALL_OBJECTS // 10, read=False),
            small(f"{SMALL_OBJECTS} planned", objects=SMALL_OBJECTS, read=False),
            small(f"{SMALL_OBJECTS // 10} read", objects=SMALL_OBJECTS // 10, read=True),
            small(f"{SMALL_OBJECTS} read", objects=SMALL_OBJECTS, read=True),
        ),
        "Memory should not follow the number of objects.",
        servers=("s3",),
        unit="objects",
        rounds=2,
    ),
}
