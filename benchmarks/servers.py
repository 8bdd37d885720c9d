"""The servers that cases between servers need, started when a case first asks for one.

They run on the same cores, so the wall time is theirs as much as ours: look at our own CPU time. They
are started by `tests.services`; `make services` installs them. Nothing beyond the standard library is
imported here, so that the measuring process stays small (see measure.py).
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_CLIENT = """
import sys, pathlib, boto3
url, bucket, folder = sys.argv[1:4]
client = boto3.client("s3", endpoint_url=url, region_name="us-east-1",
                      aws_access_key_id="test", aws_secret_access_key="test")
"""
_FILL = (
    _CLIENT
    + """
client.create_bucket(Bucket=bucket)
for path in sorted(pathlib.Path(folder).glob("*.gz")):
    data = path.read_bytes()
    for copy in range(int(sys.argv[4])):
        client.put_object(Bucket=bucket, Key=f"in/{copy:06}-{path.name}", Body=data)
"""
)
FETCH = (
    _CLIENT
    + """
pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
for number, found in enumerate(one for page in pages for one in page.get("Contents", ())):
    if found["Key"].startswith("out/"):
        client.download_file(bucket, found["Key"], f"{folder}/{number:06}")
    client.delete_object(Bucket=bucket, Key=found["Key"])
"""
)
_TOPIC = """
import sys
from confluent_kafka.admin import AdminClient, NewTopic
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
for future in admin.create_topics([NewTopic(sys.argv[2], 4, 1)]).values():
    future.result(60)
"""


class Servers:
    """Starts servers when they are first needed."""

    def __init__(self) -> None:
        self._running: dict[str, Any] = {}
        self._filled: dict[tuple[Path, int], str] = {}

    def get(self, name: str) -> Any:
        """Return a running server."""
        if name not in self._running:
            sys.path.append(str(ROOT))
            from tests.services import influx, kafka, moto

            makers: dict[str, Callable[[], Any]] = {
                "s3": moto.S3Server,
                "kafka": kafka.KafkaBroker,
                "influx": influx.InfluxServer,
            }
            self._running[name] = makers[name]()
        return self._running[name]

    def missing(self, names: tuple[str, ...]) -> str:
        """Return why one of these servers cannot be had; nothing if all can."""
        for name in names:
            try:
                self.get(name)
            except Exception as error:  # noqa: BLE001 - whatever it is, the case is left out
                return f"{name}: {str(error).splitlines()[0]}"
        return ""

    def filled(self, folder: Path, copies: int = 1) -> str:
        """Return a bucket that holds the objects of a folder, each so many times."""
        if (folder, copies) not in self._filled:
            self._filled[folder, copies] = self._make(folder, copies)
        return self._filled[folder, copies]

    def empty(self) -> str:
        """Return a new bucket."""
        return self._make(Path("none"), 1)

    def _make(self, folder: Path, copies: int) -> str:
        name = f"bench-{uuid.uuid4().hex[:10]}"
        words = [sys.executable, "-c", _FILL, self.get("s3").url, name, str(folder), str(copies)]
        subprocess.run(words, check=True)
        return name

    def s3(self, bucket: str) -> dict[str, Any]:
        """Return the options of our S3 components."""
        return {
            "type": "s3",
            "bucket": bucket,
            "endpoint_url": self.get("s3").url,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "path_style": True,
        }

    def topic(self) -> dict[str, Any]:
        """Return a Kafka sink of a new topic."""
        topic, bootstrap = f"bench-{uuid.uuid4().hex[:10]}", self.get("kafka").bootstrap
        subprocess.run([sys.executable, "-c", _TOPIC, bootstrap, topic], check=True)
        return {"type": "kafka", "bootstrap_servers": [bootstrap], "topic": topic}

    def close(self) -> None:
        """Stop all servers."""
        for server in self._running.values():
            server.close()
        self._running.clear()
        self._filled.clear()


SERVERS = Servers()
"""Those of this process."""
