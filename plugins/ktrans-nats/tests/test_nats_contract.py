"""The nats sink is held to the contract of sinks, on a real server."""

import pytest

from ktrans.testing.contracts import SinkCase, SinkContract

pytestmark = pytest.mark.service("nats")


class NatsCase(SinkCase):
    def __init__(self, stream, build, folder, **options):
        self.stream, self.build, self.folder = stream, build, folder
        self.options, self.built = options, []

    def sink(self, name="sink", pipeline="flows"):
        self.built.append(self.build(self.stream, name=name, pipeline=pipeline, **self.options))
        return self.built[-1]

    def rows(self):
        return self.stream.numbers()

    def leftovers(self):
        files = (self.folder / ".ktrans").rglob("*")
        return [path.name for path in files if path.suffix == ".arrow"]


class TestContract(SinkContract):
    covers = ("nats",)

    @pytest.fixture
    def case(self, stream, build, tmp_path):
        made = NatsCase(stream, build, tmp_path, batch_messages=50)
        yield made
        for sink in made.built:
            sink.close()


class TestOneByOne(SinkContract):
    """Without atomic batches, on a server that drops what comes again soon."""

    covers = ("nats",)

    @pytest.fixture
    def case(self, stream, build, tmp_path):
        stream.set("UPDATE", allow_atomic=False)
        made = NatsCase(stream, build, tmp_path, delivery="at_least_once", batch_messages=50)
        yield made
        for sink in made.built:
            sink.close()
