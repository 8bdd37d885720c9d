"""A queue of its own for each test."""

import uuid

import pika
import pytest
from ktrans_rabbitmq.sink import RabbitmqSink

from ktrans.api import Context
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import SCHEMA, run


class Queue:
    """A durable queue on a real server, which a topic exchange of its name feeds too."""

    def __init__(self, server, **arguments):
        self.server = server
        self.name = f"q{uuid.uuid4().hex[:10]}"
        self.arguments = arguments
        self.declare()

    def open(self):
        login = pika.PlainCredentials(self.server.user, self.server.password)
        connection = pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.server.port, "flows", login)
        )
        return connection, connection.channel()

    def declare(self):
        connection, channel = self.open()
        with connection:
            channel.queue_declare(self.name, durable=True, arguments=self.arguments)
            channel.exchange_declare(self.name, "topic", durable=True)
            channel.queue_bind(self.name, self.name, "flows.#")

    def count(self):
        connection, channel = self.open()
        with connection:
            return channel.queue_declare(self.name, passive=True).method.message_count

    def receive(self):
        """Take all messages: (method, properties, body)."""
        connection, channel = self.open()
        with connection:
            count = channel.queue_declare(self.name, passive=True).method.message_count
            found = []
            for message in channel.consume(self.name, inactivity_timeout=30) if count else ():
                found.append(message)
                if len(found) == count:
                    channel.basic_ack(message[0].delivery_tag, multiple=True)
                    break
            return found

    def options(self, **more):
        return {
            "type": "rabbitmq",
            "url": self.server.url,
            "username": self.server.user,
            "password": self.server.password,
            "routing_key": self.name,
            "timeout": 20,
            "retry_time": 5,
            **more,
        }


@pytest.fixture
def queue(rabbitmq_server):
    return Queue(rabbitmq_server)


@pytest.fixture
def make_queue(rabbitmq_server):
    return lambda server=rabbitmq_server, **arguments: Queue(server, **arguments)


@pytest.fixture
def build(tmp_path):
    def make(target, schema=SCHEMA, name="sink", pipeline="flows", **options):
        catalogue = Catalogue()
        context = Context(pipeline, name, tmp_path, registry=catalogue)
        sink = RabbitmqSink(catalogue.config("sink", target.options(**options)), context)
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
