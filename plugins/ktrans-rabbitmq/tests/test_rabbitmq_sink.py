"""The rabbitmq sink on a real server: every row at least once, and recognisable if twice."""

import contextlib
import json
import socket
import subprocess
import time
from collections import Counter

import pyarrow as pa
import pytest

from ktrans.api import AccessError, ConfigError, RetryableError, UnavailableError
from ktrans.kit.flow import FLOW_SCHEMA
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, SECOND, numbers, run
from ktrans.testing.hostile import hostile_rows
from tests.killed_tables import KilledTable
from tests.services.rabbitmq import RabbitmqServer

pytestmark = pytest.mark.service("rabbitmq")


def rows_of(messages):
    return sorted(json.loads(body)["n"] for _, _, body in messages)


class RabbitmqCase(SinkCase):
    def __init__(self, queue, build, folder):
        self.queue, self.build, self.folder, self.seen, self.built = queue, build, folder, [], []

    def sink(self, name="sink", pipeline="flows"):
        self.built.append(self.build(self.queue, name=name, pipeline=pipeline))
        return self.built[-1]

    def rows(self):
        self.seen += rows_of(self.queue.receive())
        return sorted(self.seen)

    def leftovers(self):
        files = (self.folder / ".ktrans").rglob("*")
        return [path.name for path in files if path.suffix in (".arrow", ".sent")]


class TestContract(SinkContract):
    covers = ("rabbitmq",)

    @pytest.fixture
    def case(self, queue, build, tmp_path):
        made = RabbitmqCase(queue, build, tmp_path)
        yield made
        for sink in made.built:
            sink.close()


def test_messages_carry_their_row_and_what_they_take_from_it(queue, build):
    sink = build(
        queue,
        exchange=queue.name,
        routing_key="flows.{account}",
        headers={"producer": "ktrans"},
        header_columns=["account"],
    )
    sink.prepare(EPOCH)
    writer = sink.writer(FIRST)
    accounts = pa.array(["a", None, "b.c#\r\n"]).dictionary_encode()
    writer.write(writer.encode(pa.record_batch([accounts, pa.array([1, 2, 3])], schema=SCHEMA)))
    sink.commit(EPOCH, [writer.finish()])
    found = queue.receive()
    assert [method.routing_key for method, _, _ in found] == [
        "flows.a",
        "flows.unknown",
        "flows.b_c___",
    ]
    assert [properties.headers for _, properties, _ in found] == [
        {"producer": "ktrans", "account": "a"},
        {"producer": "ktrans"},
        {"producer": "ktrans", "account": "b.c#\r\n"},
    ]
    assert {properties.delivery_mode for _, properties, _ in found} == {2}
    assert len({properties.message_id for _, properties, _ in found}) == 3
    assert rows_of(found) == [1, 2, 3]


def test_any_row_arrives_or_is_refused(queue, build):
    sink = build(
        queue,
        FLOW_SCHEMA,
        exchange=queue.name,
        routing_key="flows.{account_id}.{interface_id}",
        header_columns=["provider", "src_addr", "action"],
        max_message_size=100_000,
    )
    rows = hostile_rows(FLOW_SCHEMA, {"src_addr": "10.0.0.1", "dst_addr": "10.0.0.2"})
    sink.prepare(EPOCH)
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    receipt = writer.finish()
    refused = sum(one.rows.num_rows for one in writer.refused())
    sink.commit(EPOCH, [receipt])
    assert receipt.rows + refused == rows.num_rows
    assert len(queue.receive()) == receipt.rows > refused > 0


def test_rows_together_make_files(queue, build, publish):
    publish(build(queue, format={"type": "arrow"}, rows_per_message=25), FIRST)
    found = [pa.ipc.open_stream(body).read_all() for _, _, body in queue.receive()]
    assert sorted(pa.concat_tables(found)["n"].to_pylist()) == numbers(FIRST)


def test_a_message_that_no_queue_takes_is_an_error(queue, build, publish):
    """The others arrive, and only it is sent again once there is a queue."""
    options = {"exchange": queue.name, "routing_key": "x-{account}"}
    connection, channel = queue.open()
    with connection:
        channel.queue_bind(queue.name, queue.name, "x-a0")
        channel.queue_bind(queue.name, queue.name, "x-a1")
    sink = build(queue, **options)
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST)]
    with pytest.raises(ConfigError) as caught:
        sink.commit(EPOCH, receipts)
    assert caught.value.code == "unroutable"
    assert "x-a2" in caught.value.message
    assert 0 < queue.count() <= 80
    connection, channel = queue.open()
    with connection:
        channel.queue_bind(queue.name, queue.name, "x-a2")
    build(queue, **options).commit(EPOCH, receipts)
    assert rows_of(queue.receive()) == numbers(FIRST)


def test_a_full_queue_is_waited_for_and_goes_on(make_queue, build):
    queue = make_queue(**{"x-max-length": 50, "x-overflow": "reject-publish"})
    sink = build(queue, retry_time=0.1)
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST)]
    with pytest.raises(RetryableError) as caught:
        sink.commit(EPOCH, receipts)
    assert caught.value.code == "queue_full"
    found = queue.receive()
    while len(found) < 120:
        with contextlib.suppress(RetryableError):
            build(queue, retry_time=0.1).commit(EPOCH, receipts)
        found += queue.receive()
    assert rows_of(found) == numbers(FIRST)


def test_queues_and_exchanges_are_created_only_if_asked(rabbitmq_server, queue, build, publish):
    queue.name += "-new"
    for options in ({}, {"exchange": queue.name}):
        for does in (lambda sink: sink.check(), lambda sink: publish(sink, FIRST)):
            with pytest.raises(ConfigError) as caught:
                does(build(queue, **options))
            assert caught.value.code in ("no_exchange", "unroutable")
    sink = build(queue, declare_queue="quorum", name="a")
    sink.check()
    publish(sink, FIRST)
    assert rows_of(queue.receive()) == numbers(FIRST)
    with pytest.raises(ConfigError) as caught:
        publish(build(queue, declare_queue="classic", name="b"), FIRST)
    assert caught.value.code == "declared_otherwise"
    sink = build(queue, exchange=queue.name, declare_exchange="fanout", routing_key="", name="c")
    sink.check()
    with pytest.raises(ConfigError) as caught:  # it has no queue yet
        publish(sink, FIRST)
    assert caught.value.code == "unroutable"


class TestCheck:
    def test_all_is_well_and_nothing_is_written(self, queue, build):
        build(queue).check()
        build(queue, exchange=queue.name, routing_key="flows.{account}").check()
        assert queue.count() == 0

    def test_who_may_not(self, queue, build, publish):
        for options in ({"password": "open-barley"}, {"url": f"{queue.server.url}-nope"}):
            sink = build(queue, **options)
            for fails in (sink.check, lambda sink=sink: publish(sink, FIRST)):
                with pytest.raises(AccessError) as caught:
                    fails()
                assert "open-barley" not in repr(caught.value.__dict__) + str(caught.value)
        with pytest.raises(AccessError):
            publish(build(queue, username=queue.server.guest, name="other"), FIRST)

    def test_a_server_that_is_away(self, queue, build, publish):
        sink = build(queue, url="amqp://127.0.0.1:1/flows", retry_time=0.1)
        with pytest.raises(UnavailableError):
            sink.check()
        begun = time.monotonic()
        with pytest.raises(RetryableError) as caught:
            publish(sink, FIRST)
        assert caught.value.code == "unreachable"
        assert time.monotonic() - begun < 20


@pytest.mark.slow
def test_encryption_and_a_server_that_comes_back(make_queue, build, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made.split(), *alternative, *files], check=True, capture_output=True)
    server = RabbitmqServer(
        "listeners.ssl.1 = 127.0.0.1:{tls}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {key}",
        "ssl_options.verify = verify_none",
    )
    try:
        queue = make_queue(server)
        url = f"amqps://127.0.0.1:{server.tls_port}/flows"
        sink = build(queue, url=url, tls_ca_file="cert.pem", retry_time=0.1)
        sink.check()
        with pytest.raises(AccessError) as caught:
            build(queue, url=url).check()
        assert caught.value.code == "rabbitmq_tls"
        sink.prepare(EPOCH)
        receipts = [run(sink, FIRST), run(sink, SECOND)]
        server.stop()
        with pytest.raises(RetryableError):
            sink.commit(EPOCH, receipts)
        server.start()
        sink.commit(EPOCH, receipts)
        assert rows_of(queue.receive()) == numbers(FIRST, SECOND)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"routing_key": "{account}.x"}, "fixed text"),
        ({"url": "amqp://u:p@host/"}, "their options"),
        ({"url": "http://host"}, "amqp://"),
        ({"routing_key": ""}, "needs the name of a queue"),
        ({"declare_exchange": "topic"}, "needs the name"),
        ({"declare_queue": "quorum", "exchange": "x"}, "default exchange"),
        ({"tls_ca_file": "x"}, "amqps"),
        ({"rows_per_message": 5, "routing_key": "a.{account}"}, "one row"),
    ],
)
def test_options_that_do_not_fit(options, why):
    raw = {"type": "rabbitmq", "url": "amqp://h/", "routing_key": "s", **options}
    with pytest.raises(Exception, match=why):
        Catalogue().config("sink", raw)


@pytest.mark.slow
def test_kills_amid_publishing_lose_nothing_and_repeats_are_recognisable(queue, tmp_path):
    """SIGKILL while messages come in; what comes twice has the same id."""
    columns = ["source_uri", "source_pos", "bytes"]
    site = KilledTable(tmp_path, queue.options(columns=columns, batch_messages=100))
    site.write_logs(16)
    kills = 0
    while kills < 8:
        process = site.start()
        wanted = queue.count() + 150 * kills + 1
        while process.poll() is None and queue.count() < wanted:
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()
            kills += 1
        _, said = process.communicate()
        assert process.returncode in (0, -9), said
        if process.returncode == 0:
            site.write_logs(8)
    site.finish()
    by_id, rows = {}, Counter()
    for _, properties, body in queue.receive():
        row = json.loads(body)
        key = (row["source_uri"], row["source_pos"])
        rows[key] += 1
        assert by_id.setdefault(properties.message_id, key) == key
    assert len(rows) == len(by_id) == site.rows


def test_a_server_that_says_nothing_is_told_with_what_to_do(queue, build):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnavailableError, match="in time") as caught:
            build(queue, url=f"amqp://127.0.0.1:{port}/", timeout=0.5).check()
    assert "timeout" in caught.value.hint
