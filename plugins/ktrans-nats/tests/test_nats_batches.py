"""What the nats sink sends to servers that are not as they have to be; they are stubs."""

import asyncio
from types import SimpleNamespace

import pyarrow as pa
import pytest
from ktrans_nats.batches import TaskMessages, send_batches, send_singly
from ktrans_nats.client import Connection
from ktrans_nats.config import NatsSinkConfig

from ktrans.api import ConfigError, Context, RunError
from ktrans.kit.messages.send import Request


class Server:
    """A connection to a server that gives the same answer to each message."""

    where = "nats://stub"

    def __init__(self, answer, **stream):
        self.answer, self.stream = answer, {"name": "FLOWS", "subjects": [">"], **stream}
        self.got = []
        self.nats = self

    async def request(self, subject, data=b"", headers=None):
        self.got.append(subject)
        return self.answer

    async def publish(self, subject, data, headers=None):
        self.got.append(subject)

    async def api(self, name, what, **arguments):
        return {"config": self.stream} if name.startswith("STREAM.INFO") else None

    def check(self):
        pass


MESSAGES = pa.record_batch(
    {"data": pa.array([b"1", b"2"], pa.large_binary()), "rows": pa.array([1, 1], pa.int32())}
)


@pytest.fixture
def config():
    return NatsSinkConfig(type="nats", servers=["nats://stub"], stream="FLOWS", subject="flows")


def send(server, config):
    delivery = SimpleNamespace(mark="flows/sink/00000001-0000", batches=lambda: iter([MESSAGES]))
    task = TaskMessages(config, Context("flows", "sink"), delivery)
    asyncio.run(send_batches(server, task))
    return task


def test_a_server_without_atomic_batches_gets_no_mark(config):
    """It would store the mark, and then perhaps not the rows."""
    server = Server({"stream": "FLOWS", "seq": 1})
    with pytest.raises(ConfigError) as caught:
        send(server, config)
    assert caught.value.code == "no_atomic_batches"
    assert server.got == []


@pytest.mark.parametrize("subjects", [["flows", "ktrans.>"], ["ktrans.>"]])
def test_an_answer_of_another_client_is_not_taken_for_that_of_the_stream(config, subjects):
    """Or rows would count as sent that no stream has."""
    server = Server({}, subjects=subjects, allow_atomic=True)
    with pytest.raises((RunError, ConfigError)) as caught:
        send(server, config)
    code = "refused" if "flows" in subjects else "subject_not_in_stream"
    assert caught.value.code == code
    failed = asyncio.run(send_singly(server, config, Request(MESSAGES, ["a", "b"])))
    assert sorted(failed) == [0, 1]


@pytest.mark.parametrize("data", [b"", b"hello", b"[1]"])
def test_an_answer_that_is_not_of_jetstream(config, data):
    async def request(*given, **more):
        return SimpleNamespace(data=data)

    connection = Connection(config, SimpleNamespace(request=request), [])
    assert asyncio.run(connection.request("flows")) == {}
