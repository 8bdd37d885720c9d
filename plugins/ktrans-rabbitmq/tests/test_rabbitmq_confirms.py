"""What was confirmed before a connection ended is not published again."""

from types import SimpleNamespace

import pika
import pytest
from ktrans_rabbitmq.session import Publish
from ktrans_rabbitmq.sink import RabbitmqSink

from ktrans.api import Context, RetryableError
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, numbers, run


class Server:
    """Takes the place of connections: confirms some messages, and then breaks off."""

    def __init__(self, *answers):
        self.answers, self.got = list(answers), []

    def run(self, publish):
        confirmed = self.answers.pop(0) if self.answers else len(publish._open)
        self.got.append(publish._request.ids[:confirmed])
        if confirmed:
            frame = pika.spec.Basic.Ack(delivery_tag=confirmed, multiple=True)
            publish._confirmed(SimpleNamespace(method=frame))
        if publish._open:
            raise RetryableError("it broke off", code="connection")


@pytest.fixture
def sink(tmp_path):
    options = {"type": "rabbitmq", "url": "amqp://nowhere/", "routing_key": "q", "retry_time": 5}
    catalogue = Catalogue()
    context = Context("flows", "sink", tmp_path, registry=catalogue)
    made = RabbitmqSink(catalogue.config("sink", options), context)
    made.bind(SCHEMA)
    return made


def test_what_was_confirmed_is_not_published_again(sink, monkeypatch):
    server = Server(7, 0)
    monkeypatch.setattr(Publish, "run", lambda one: server.run(one))  # noqa: PLW0108 - binds it
    monkeypatch.setattr(Publish, "end", lambda publish, error=None: None)
    sink.prepare(EPOCH)
    sink.commit(EPOCH, [run(sink, FIRST)])
    sent = [name for names in server.got for name in names]
    assert len(sent) == len(set(sent)) == len(numbers(FIRST))
