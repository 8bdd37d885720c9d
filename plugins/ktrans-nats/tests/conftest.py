"""A stream of its own for each test."""

import asyncio
import json
import uuid
from dataclasses import dataclass

import nats
import pytest
from ktrans_nats.sink import NatsSink

from ktrans.api import Context
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import SCHEMA, run


@dataclass
class Message:
    subject: str
    data: bytes
    headers: dict


class Stream:
    """A stream of the subjects `<name>.flows.>` and the marks of ktrans, on a real server."""

    def __init__(self, server, login=None, **options):
        self.login = login or {}
        self.server = server
        self.name = f"T{uuid.uuid4().hex[:10]}"
        self.subject = f"{self.name}.flows"
        self.marks = f"{self.name}.marks"
        self.set(**{"allow_atomic": True, **options})

    def call(self, work):
        async def whole():
            client = await nats.connect(self.server.url, **self.login)
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(whole())

    def set(self, verb="CREATE", **options):
        config = {"name": self.name, "subjects": [f"{self.name}.>"], **options}

        async def work(client):
            name = f"$JS.API.STREAM.{verb}.{self.name}"
            answer = json.loads((await client.request(name, json.dumps(config).encode())).data)
            assert "error" not in answer, answer

        self.call(work)

    def messages(self):
        """All messages of the stream, without marks."""

        async def work(client):
            js = client.jetstream()
            count = (await js.stream_info(self.name)).state.messages
            reading = await js.subscribe(f"{self.name}.>", ordered_consumer=True)
            return [await reading.next_msg(30) for _ in range(count)]

        found = [m for m in self.call(work) if not m.subject.startswith(f"{self.marks}.")]
        return [Message(m.subject, m.data or b"", m.headers or {}) for m in found]

    def numbers(self):
        return sorted(json.loads(message.data)["n"] for message in self.messages())

    def count(self):
        async def work(client):
            return (await client.jetstream().stream_info(self.name)).state.messages

        return self.call(work)

    def options(self, **more):
        return {
            "type": "nats",
            "servers": [self.server.url],
            "stream": self.name,
            "subject": self.subject,
            "marks": self.marks,
            "timeout": 5,
            "retry_time": 5,
            **more,
        }


@pytest.fixture
def stream(nats_server):
    return Stream(nats_server)


@pytest.fixture
def make_stream(nats_server):
    return lambda server=nats_server, **options: Stream(server, **options)


@pytest.fixture
def build(tmp_path):
    def make(target, schema=SCHEMA, name="sink", pipeline="flows", folder=tmp_path, **options):
        catalogue = Catalogue()
        context = Context(pipeline, name, folder, registry=catalogue)
        sink = NatsSink(catalogue.config("sink", target.options(**options)), context)
        sink.bind(schema)
        return sink

    return make


@pytest.fixture
def publish():
    def go(sink, *tasks):
        epoch = tasks[0].epoch
        sink.prepare(epoch)
        receipts = [run(sink, task) for task in tasks]
        sink.commit(epoch, receipts)
        return receipts

    return go
