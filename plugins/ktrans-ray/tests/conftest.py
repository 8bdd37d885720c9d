"""A Ray cluster on this machine: a head without cores, and nodes of one core."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ktrans_generate.objects import pieces
from ktrans_generate.source import GenerateSourceConfig
from tenacity import retry, stop_after_attempt

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
SMALL = {"object_store_memory": 80 << 20}


class RayCluster:
    """A cluster of processes of this machine.

    Attributes:
        address: of its head.
        session: the folder of its logs.
    """

    def __init__(self, nodes: int, environ: dict[str, str]) -> None:
        from ray.cluster_utils import Cluster

        before = signal.getsignal(signal.SIGTERM)
        self._folder = tempfile.mkdtemp(prefix="ray-")  # sockets in it: a short path
        self._environ = environ
        self._cluster = Cluster()
        self._add_head()
        self.address = self._cluster.address
        self.session = self._cluster.head_node.get_session_dir_path()
        self.nodes = [self.add() for _ in range(nodes)]
        signal.signal(signal.SIGTERM, before)  # Ray puts its own in place

    @retry(stop=stop_after_attempt(3), reraise=True)
    def _add_head(self) -> None:
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": self._folder}
        self._cluster.add_node(**head, **SMALL, env_vars=self._environ)

    @retry(stop=stop_after_attempt(3), reraise=True)
    def add(self):
        """Add a node of one core. Ray gives it 30 seconds, which a busy machine may need more of."""
        return self._cluster.add_node(num_cpus=1, **SMALL, env_vars=self._environ)

    def freeze(self, index: int) -> bool:
        """Stop the processes of a node that do a task of ktrans, by their titles.

        Returns:
            Whether there is one, which cannot end its task any more.
        """
        busy = self._busy(index)
        for child in busy:
            os.kill(child, signal.SIGSTOP)
        frozen = self._busy(index)
        for child in set(busy) - set(frozen):  # its task has ended meanwhile
            os.kill(child, signal.SIGCONT)
        return bool(frozen)

    def _busy(self, index: int) -> list[int]:
        raylet = self.nodes[index].all_processes["raylet"][0].process.pid
        children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
        titles = {int(child): Path(f"/proc/{child}/cmdline") for child in children}
        return [
            child
            for child, title in titles.items()
            if title.exists() and b"ray::ktrans" in title.read_bytes()
        ]

    def replace(self, index: int) -> None:
        """End all processes of a node at once, and add another node.

        A frozen process sometimes outlives its node. Its connections then stay open, and Ray takes
        minutes to notice.
        """
        frozen = self._busy(index)
        self._cluster.remove_node(self.nodes[index], allow_graceful=False)
        for child in frozen:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.nodes[index] = self.add()

    def close(self) -> None:
        """End all its processes, and remove its folder."""
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)


DRIVER_SECRET = "secret-of-the-driver-4c1d"
NODE_SECRET = "secret-of-the-nodes-9a7e"
OBJECTS, ROWS = 8, 20_000


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of two nodes; who removes one of them adds another."""
    environ = {"KTRANS_TEST_SECRET": NODE_SECRET, "KTRANS_TEST_LABEL": "nodes"}
    cluster = RayCluster(2, environ)
    yield cluster
    cluster.close()


class Flows:
    """A bucket with logs, and pipelines from it to folders of it."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.s3 = server.client("s3")
        self.bucket = f"ray-{uuid.uuid4().hex}"
        self.s3.create_bucket(Bucket=self.bucket)
        made = GenerateSourceConfig(rows=OBJECTS * ROWS, rows_per_object=ROWS, bad_ratio=0.0001)
        for number in range(OBJECTS):
            data = b"".join(pieces(made.recipe(), number))
            self.s3.put_object(Bucket=self.bucket, Key=f"logs/{number:02}.log", Body=data)

    def pipeline(self, name, executor, **more):
        """Write a pipeline file; its rows, rejects and state have places of their own."""
        access = {
            "bucket": self.bucket,
            "endpoint_url": self.server.url,
            "region": self.server.region,
            "access_key_id": "testing",
            "secret_access_key": "${env:KTRANS_TEST_SECRET}",
            "path_style": True,
        }
        sink = {"type": "s3", **access}
        parts = {
            "name": "flows",
            "source": {"type": "s3", "prefix": "logs/", **access},
            "decoder": {"type": "aws_vpc"},
            "sinks": [{"id": "lake", **sink, "path": f"{name}/lake/"}],
            "rejects": {**sink, "path": f"{name}/rejects/", "format": {"type": "jsonl"}},
            "state": {"path": str(self.folder / f"{name}.db")},
            "engine": {
                "executor": executor,
                "workers": 2,
                "task_size": "1 MB",
                "grace_period": "2m",
            },
            **more,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(parts))
        return path

    def start(self, verb, path, *args):
        """Start ktrans, as the driver; the nodes have other variables."""
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", verb, *args, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "NO_COLOR": "1",
                "KTRANS_TEST_SECRET": DRIVER_SECRET,
                "KTRANS_TEST_LABEL": "driver",
            },
        )

    def run(self, path, *args):
        """Run ktrans to its end; return the exit code, standard output and standard error."""
        process = self.start("run", path, *args)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def data(self, prefix):
        """Return the objects below a folder, by name."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {
            key.removeprefix(prefix): self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def uploads(self, name):
        """Return the keys of a pipeline's uploads that are neither completed nor aborted."""
        answer = self.s3.list_multipart_uploads(Bucket=self.bucket)
        keys = [item["Key"] for item in answer.get("Uploads", ())]
        return [key for key in keys if key.startswith(f"{name}/")]


@pytest.fixture(scope="module")
def flows(s3_server, tmp_path_factory):
    """Objects of logs, and pipelines over them."""
    made = Flows(s3_server, tmp_path_factory.mktemp("flows"))
    yield made
    made.s3.close()


@pytest.fixture
def secrets():
    """What the variable of the pipelines' secret holds, in the driver and on the nodes."""
    return DRIVER_SECRET, NODE_SECRET
