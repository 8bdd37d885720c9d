"""A topic and subscription of its own for each test, and logs to send through them."""

import importlib.util
import json
import os
import random
import subprocess
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PublishRequest, PubsubMessage

_spec = importlib.util.spec_from_file_location(
    "gcs_proxy", Path(__file__).with_name("gcs_proxy.py")
)
gcs_proxy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gcs_proxy)


class Topic:
    """One topic with one subscription, on an emulator."""

    def __init__(self, host, *, ordered=False):
        self.endpoint = f"http://{host}"
        name = f"t{uuid.uuid4().hex[:12]}"
        self.project, self.topic, self.subscription = "flows", name, f"{name}-sub"
        channel = grpc.insecure_channel(host)
        self.channels = [channel]
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self.topic_path = f"projects/flows/topics/{name}"
        self.subscription_path = f"projects/flows/subscriptions/{name}-sub"
        self.publisher.create_topic(name=self.topic_path)
        self.subscriber.create_subscription(
            request={
                "name": self.subscription_path,
                "topic": self.topic_path,
                "ack_deadline_seconds": 10,
                "enable_message_ordering": ordered,
            }
        )

    def publish(self, payloads, key="", **attributes):
        message = PubsubMessage.pb()
        made = [
            message(
                data=payload if isinstance(payload, bytes) else payload.encode(),
                ordering_key=key,
                attributes=attributes,
            )
            for payload in payloads
        ]
        for start in range(0, len(made), 500):
            request = PublishRequest.pb()(topic=self.topic_path, messages=made[start : start + 500])
            self.publisher.publish(request=PublishRequest.wrap(request))

    def receive_all(self):
        """Receive and acknowledge what has been published so far."""
        return self.receive(float("inf"), until_empty=True)

    def receive(self, count, *, until_empty=False):
        """Receive and acknowledge until there are this many messages."""
        got = []
        while len(got) < count:
            answer = self.subscriber.pull(
                subscription=self.subscription_path, max_messages=1000, timeout=60
            )
            if answer.received_messages:
                self.subscriber.acknowledge(
                    subscription=self.subscription_path,
                    ack_ids=[each.ack_id for each in answer.received_messages],
                )
            elif until_empty:
                return got
            got += [each.message for each in answer.received_messages]
        return got

    def options(self, **more):
        """Options of the source for this subscription."""
        return {
            "type": "pubsub",
            "project": self.project,
            "subscription": self.subscription,
            "endpoint": self.endpoint,
            "idle_timeout": 5,
            "segment_age": 0.2,
            **more,
        }

    def close(self):
        for channel in self.channels:
            channel.close()


@pytest.fixture
def topic(pubsub_server):
    made = Topic(pubsub_server.host)
    yield made
    made.close()


@pytest.fixture
def ordered_topic(pubsub_server):
    made = Topic(pubsub_server.host, ordered=True)
    yield made
    made.close()


@pytest.fixture
def entry():
    return make_entry


def make_entry(number):
    """One flow log as Cloud Logging exports it; its ports and bytes tell them apart."""
    rng = random.Random(number)
    return json.dumps(
        {
            "insertId": f"id-{number}",
            "logName": "projects/flows/logs/compute.googleapis.com%2Fvpc_flows",
            "timestamp": "2026-03-01T10:00:05.123456789Z",
            "resource": {"type": "gce_subnetwork", "labels": {"project_id": "flows"}},
            "jsonPayload": {
                "connection": {
                    "src_ip": f"10.1.{rng.randrange(4)}.{rng.randrange(250)}",
                    "dest_ip": "198.51.100.7",
                    "src_port": 1024 + number % 60_000,
                    "dest_port": 443,
                    "protocol": 6,
                },
                "reporter": "SRC",
                "bytes_sent": str(number),
                "packets_sent": "3",
                "start_time": "2026-03-01T10:00:00.000000001Z",
                "end_time": "2026-03-01T10:00:05.000000001Z",
            },
        },
        separators=(",", ":"),
    )


class Proxy(grpc.GenericRpcHandler):
    """A gRPC server before the real one, which fails on demand.

    Attributes:
        faults: by method name, what to do with its next calls: a status code, or a function that
            gets the request's bytes and a way to forward requests, and gives the answer's bytes.
        calls: the methods called, in order.
    """

    def __init__(self, host):
        self.faults = {}
        self.calls = []
        self._channel = grpc.insecure_channel(host)
        self._server = grpc.server(ThreadPoolExecutor(16))
        self._server.add_generic_rpc_handlers((self,))
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, details):
        def call(request, context):
            name = details.method.rpartition("/")[2]
            self.calls.append(name)

            def forward(body, method=details.method):
                return self._channel.unary_unary(method)(body, timeout=60)

            waiting = self.faults.get(name)
            fault = waiting.pop(0) if waiting else None
            if callable(fault):
                return fault(request, forward)
            if fault is not None:
                context.abort(fault, "as the test asked for")
            try:
                return forward(request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(call)

    def close(self):
        self._server.stop(None).wait()
        self._channel.close()


@pytest.fixture
def proxy(pubsub_server):
    made = Proxy(pubsub_server.host)
    yield made
    made.close()


class Site:
    """A folder with a pipeline file, run by processes of its own."""

    LINES = {"id": "lines", "type": "file", "path": "lines/", "format": {"type": "jsonl"}}  # noqa: RUF012

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.stderr = ""

    def write_config(self, source, sinks, **more):
        config = {
            "name": "site",
            "source": source,
            "decoder": {"type": "gcp_vpc"},
            "sinks": sinks,
            "rejects": {"type": "file", "path": "rejects/"},
            "state": {"path": "state/state.db"},
            "engine": {"workers": 2, "retry_wait": 0.05, **more},
        }
        (self.folder / "pipeline.yaml").write_text(json.dumps(config))
        return self

    def start(self, *args):
        command = [sys.executable, "-m", "ktrans", "run", str(self.folder / "pipeline.yaml")]
        return subprocess.Popen(
            [*command, *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self, *args):
        process = self.start("--receipt", str(self.folder / "receipt.json"), *args)
        _, err = process.communicate(timeout=300)
        self.stderr = err.decode()
        return process.returncode

    @property
    def receipt(self):
        return json.loads((self.folder / "receipt.json").read_text())

    def rows(self, sink="lines"):
        """The bytes of all rows that are visible in a folder of JSON lines, as a multiset."""
        found = Counter()
        for path in (self.folder / sink).rglob("*.jsonl"):
            if ".ktrans-staging" not in path.parts:
                found.update(json.loads(line)["bytes"] for line in path.read_text().splitlines())
        return found

    def rejects(self):
        return [
            json.loads(line)
            for path in sorted((self.folder / "rejects").rglob("*.jsonl"))
            if ".ktrans-staging" not in path.parts
            for line in path.read_text().splitlines()
        ]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


class Bucket:
    """A bucket of its own, behind a proxy that fails on demand."""

    def __init__(self, server, proxy):
        self.proxy = proxy
        self.url = proxy.url
        self.direct = server.url
        self.name = f"b{uuid.uuid4().hex[:16]}"
        self.client = server.client()
        self.client.create_bucket(self.name)
        self._bucket = self.client.bucket(self.name)

    def put(self, key, data, **more):
        blob = self._bucket.blob(key)
        for name, value in more.items():
            setattr(blob, name, value)
        blob.upload_from_string(data)
        return self._bucket.get_blob(key)

    def get(self, key):
        return self._bucket.get_blob(key)

    def data(self, prefix=""):
        """The content of all objects but staged ones."""
        return {
            blob.name: blob.download_as_bytes(raw_download=True)
            for blob in self.client.list_blobs(self.name, prefix=prefix)
            if not blob.name.startswith(".ktrans-staging/")
        }

    def staged(self):
        return [b.name for b in self.client.list_blobs(self.name, prefix=".ktrans-staging/")]

    def options(self, **more):
        return {"type": "gcs", "bucket": self.name, "endpoint": self.url, **more}

    def close(self):
        self.client.close()


@pytest.fixture
def gcs(gcs_server):
    proxy = gcs_proxy.GcsProxy(gcs_server.url)
    made = Bucket(gcs_server, proxy)
    made.Fault = gcs_proxy.Fault
    yield made
    made.close()
    proxy.close()
