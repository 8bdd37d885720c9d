"""What the nats sink sends to servers that are not as they have to be; they are stubs."""

import asyncio
from types import SimpleNamespace

import pyarrow as pa
import pytest
from ktrans_nats.batches import TaskMessages, send_batches
from ktrans_nats.config import NatsSinkConfig

from ktrans.api import ConfigError, Context


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
