"""The kinesis source: each record once, through resharding, expiry, throttling and kills."""

import gzip
import hashlib
import json
import random
from collections import Counter

import pytest
from ktrans_aws.kinesis_config import KinesisSourceConfig
from ktrans_aws.kinesis_source import KinesisSource
from ktrans_aws.kinesis_stream import KinesisStream
from ktrans_aws.kpl import values_of

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    Context,
    RejectError,
    RunError,
    UsageError,
)
from ktrans.kit.text.values import join_values
from ktrans.testing.clock import MovableClock
from ktrans.testing.contracts.sources import SourceCase, SourceContract, drain, read
from tests.plan_reader import PlanReader
from tests.rows_site import RowsSite, kill, line_of
from tests.services.kinesis_stub import PAGE, KinesisStub

# -- against a server -------------------------------------------------------------------------


class Stream:
    """A stream of moto."""

    def __init__(self, server, name, shards=2):
        self.server, self.name = server, name
        self.client = server.client("kinesis")
        self.client.create_stream(StreamName=name, ShardCount=shards)
        self.access = {
            "stream": name,
            "endpoint_url": server.url,
            "region": server.region,
            "access_key_id": "testing",
            "secret_access_key": "testing",
        }

    def put(self, values):
        for at in range(0, len(values), 500):
            self.client.put_records(
                StreamName=self.name,
                Records=[
                    {"Data": value, "PartitionKey": f"{at}-{n}"}
                    for n, value in enumerate(values[at : at + 500])
                ],
            )

    def source(self, **options):
        config = KinesisSourceConfig(type="kinesis", **{**self.access, **options})
        return KinesisSource(config, Context())


@pytest.fixture
def stream(s3_server, tmp_path):
    made = Stream(s3_server, f"s-{hashlib.md5(str(tmp_path).encode()).hexdigest()}")
    yield made
    made.client.close()


@pytest.mark.service("s3")
class TestContract(SourceContract):
    covers = ("kinesis",)

    @pytest.fixture
    def case(self, stream):
        class Case(SourceCase):
            def build(self):
                return stream.source()

        stream.put([b"line %d" % n for n in range(400)])
        return Case()

    def same(self, one, other):
        return sorted(b"".join(one).splitlines()) == sorted(b"".join(other).splitlines())


@pytest.mark.service("s3")
def test_the_check_finds_what_is_missing(stream):
    stream.source().check()
    with pytest.raises(ConfigError) as caught:
        stream.source(stream="not-there").check()
    assert caught.value.code == "not_found"


def envelope(lines):
    """Return a record of a subscription of CloudWatch Logs."""
    events = [{"id": str(n), "timestamp": 1, "message": line} for n, line in enumerate(lines)]
    document = {
        "messageType": "DATA_MESSAGE",
        "owner": "1",
        "logGroup": "vpc",
        "logStream": "eni-1",
        "subscriptionFilters": ["f"],
        "logEvents": events,
    }
    return gzip.compress(json.dumps(document).encode())


CONTROL = gzip.compress(
    json.dumps(
        {
            "messageType": "CONTROL_MESSAGE",
            "owner": "CloudwatchLogs",
            "logGroup": "",
            "logStream": "",
            "subscriptionFilters": [],
            "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE"}],
        }
    ).encode()
)


@pytest.mark.service("s3")
def test_subscriptions_lines_and_aggregated_records_become_rows(stream, tmp_path):
    lines = [line_of(n) for n in range(90)]
    stream.put(
        [
            CONTROL,
            *(envelope(lines[n : n + 10]) for n in range(0, 60, 10)),
            *(line.encode() for line in lines[60:80]),
            aggregated([line.encode() + b"\n" for line in lines[80:]]),
        ]
    )
    site = RowsSite(tmp_path, {"type": "kinesis", **stream.access})
    assert site.run() == 0, site.output
    assert site.rows() == Counter(range(90))
    assert site.rejects() == []
    assert site.run() == 0
    assert site.receipt["outcome"] == "nothing_to_do"


@pytest.mark.service("s3")
@pytest.mark.slow
def test_kills_of_runs_while_records_come(stream, tmp_path):
    """Twenty of them; every record becomes a row once."""
    site = RowsSite(
        tmp_path,
        {"type": "kinesis", **stream.access, "read_ahead": "1 MiB"},
        {"epoch_splits": 1, "task_size": 20_000},
    )
    rng = random.Random(5)
    made = kills = 0
    while kills < 20:
        stream.put([line_of(n).encode() for n in range(made, made + 300)])
        made += 300
        kills += kill(site.start(), rng.uniform(0.5, 1.2))
    assert site.run() == 0, site.output
    assert site.run() == 0, site.output
    assert site.rows() == Counter(range(made))
    assert site.rejects() == []


# -- against a stub that knows the tricky cases -----------------------------------------------


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def stub(clock):
    return KinesisStub(clock, "a", "b")


class Reader(PlanReader):
    """Reads the stub."""

    def __init__(self, stub, **options):
        self.stub, self.options = stub, options
        super().__init__()

    def restart(self):
        config = KinesisSourceConfig(type="kinesis", stream="flows", **self.options)
        self.source = KinesisSource(config, Context(clock=self.stub.clock))
        self.source.__dict__["stream"] = KinesisStream(self.stub, "flows", self.source.context)


def test_children_are_read_after_their_parents(stub):
    reader = Reader(stub)
    stub.put("a", *[b"a%d" % n for n in range(12)])
    stub.split("a", "c", "d")
    stub.put("c", b"c0")
    stub.put("d", b"d0")
    stub.merge("b", "d", "e")
    stub.put("e", b"e0")
    lines, _ = reader.read(Budget(splits=1))
    assert sorted(lines) == sorted([*(f"a{n}" for n in range(12)), "c0", "d0", "e0"])
    assert lines[:12] == [f"a{n}" for n in range(12)]
    assert lines.index("e0") > lines.index("d0")
    stub.forget("a")
    stub.forget("b")
    reader.restart()
    stub.put("e", b"e1")
    assert reader.read() == (["e1"], [])


def test_pages_and_iterators_that_expire(stub):
    reader = Reader(stub)
    stub.put("a", *[b"a%d" % n for n in range(3 * PAGE)])
    assert len(reader.read()[0]) == 3 * PAGE
    stub.expired = set(stub.iterators)
    stub.put("a", b"late")
    assert reader.read() == (["late"], [])


def test_throttling_is_waited_out_and_calls_are_paced(stub, clock):
    reader = Reader(stub)
    stub.put("a", *[b"%d" % n for n in range(4 * PAGE)])
    stub.faults = ["ProvisionedThroughputExceededException"] * 3
    before = clock.monotonic()
    assert len(reader.read()[0]) == 4 * PAGE
    assert clock.monotonic() - before >= 0.2 * (stub.calls.count("a") - 1)


def test_what_arrives_during_a_round_is_left_to_the_next_one(stub, clock):
    """Or a run without --follow would never end."""
    reader = Reader(stub)
    stub.put("a", b"one")
    plan = reader.plan()
    reader.record(plan)
    clock.advance(1)
    stub.put("a", b"two")
    assert reader.plan() is None
    assert reader.read() == (["two"], [])


def test_the_check_finds_that_records_may_not_be_read(stub):
    source = Reader(stub).source
    source.check()
    stub.faults = ["AccessDeniedException"]
    with pytest.raises(AccessError):
        source.check()


def test_latest_is_the_time_of_the_first_plan(stub, clock):
    stub.put("a", b"before")
    clock.advance(1)
    reader = Reader(stub, start="latest")
    assert reader.read() == ([], [])
    clock.advance(1)
    stub.put("b", b"after")
    reader.restart()
    assert reader.read() == (["after"], [])


def test_a_clock_that_is_ahead_of_the_service_is_waited_for(stub):
    """AWS refuses times that it has not reached."""
    reader = Reader(stub, start="latest")
    stub.too_early = 2
    assert reader.read() == ([], [])
    stub.put("a", b"after")
    reader.restart()
    assert reader.read() == (["after"], [])


def test_a_time_to_start_at(stub, clock):
    stub.put("a", b"before")
    clock.advance(10)
    stub.put("a", b"after")
    assert Reader(stub, start="2026-01-01T00:00:05").read() == (["after"], [])


def test_records_that_expired_unread_stop_the_run(stub, clock):
    reader = Reader(stub)
    stub.put("a", b"one")
    reader.read()
    stub.put("a", b"two")
    clock.advance(hours=30)
    stub.trim()
    stub.put("a", b"three")
    reader.restart()
    with pytest.raises(RunError) as caught:
        reader.plan()
    assert caught.value.code == "records_lost"
    assert "on_lost" in caught.value.hint
    reader.options["on_lost"] = "skip"
    reader.restart()
    lines, notes = reader.read()
    assert lines == ["three"]
    assert "may have expired" in notes[0]


def test_a_quiet_stream_is_not_taken_for_one_that_lost_records(stub, clock):
    reader = Reader(stub)
    stub.put("a", b"one")
    reader.read()
    for _ in range(20):
        clock.advance(hours=5)
        stub.trim()
        reader.restart()
        assert reader.read() == ([], [])
    stub.put("b", b"two")
    assert reader.read() == (["two"], [])


def test_a_shard_that_expired_before_its_end(stub):
    reader = Reader(stub)
    stub.put("a", b"one")
    reader.read()
    stub.split("a", "c", "d")
    stub.put("c", b"two")
    stub.forget("a")
    with pytest.raises(RunError) as caught:
        reader.plan()
    assert caught.value.code == "records_lost"


def test_a_stream_that_was_created_again(stub, clock):
    reader = Reader(stub, on_lost="skip")
    stub.put("a", b"one")
    reader.read()
    again = KinesisStub(clock, "a")
    clock.advance(600)
    again.created = clock.now()
    again.number = iter(range(1, 100))
    again.put("a", b"new")
    reader.stub = again
    reader.restart()
    lines, notes = reader.read()
    assert lines == ["new"]
    assert "created again" in " ".join(notes)


def test_a_split_is_read_again_from_the_stream_or_is_lost(stub, clock):
    reader = Reader(stub)
    stub.put("a", *[b"%d" % n for n in range(3 * PAGE)])
    (split,) = reader.plan().splits
    stub.put("a", b"later")
    whole = read(reader.source, split)
    reader.restart()
    assert read(reader.source, split) == whole
    clock.advance(hours=25)
    stub.trim()
    reader.restart()
    with pytest.raises(RejectError) as caught:
        reader.source.open(split)
    assert caught.value.code == "records_lost"
    stub.forget("a")
    with pytest.raises(RejectError):
        reader.source.open(split)


def test_what_was_quarantined_is_planned_again(stub):
    reader = Reader(stub)
    stub.put("a", b"one")
    stub.put("b", b"two")
    plan = reader.plan()
    bad, good = plan.splits
    reader.memory.record(plan)
    del reader.memory[bad.key]  # the engine keeps nothing of a quarantined split
    reader.position = json.loads(json.dumps(plan.position))
    reader.restart()
    assert reader.plan(Budget(skip=frozenset([bad.key]))) is None
    assert reader.read() == (["one"], [])
    assert good.key not in reader.memory


def test_from_takes_words_and_times(stub, clock):
    reader = Reader(stub)
    stub.put("a", b"one")
    reader.read()
    reader.position = reader.source.position_from("trim_horizon")
    assert reader.read() == (["one"], [])
    reader.position = reader.source.position_from("2026-01-02")
    assert reader.read() == ([], [])
    with pytest.raises(UsageError):
        reader.source.position_from("yesterday")


# -- aggregated records -----------------------------------------------------------------------


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def aggregated(values):
    """Return a record as the Kinesis Producer Library makes it."""
    records = b"".join(field(3, b"\x08\x00" + field(3, value)) for value in values)
    message = field(1, b"key") + records
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


def test_aggregated_records_are_taken_apart():
    values = [b"one", b"x" * 300, b""]
    assert values_of(aggregated(values)) == values
    assert values_of(b"plain") == [b"plain"]
    torn = aggregated(values)[:-1]
    assert values_of(torn) == [torn]
    assert join_values(values_of(aggregated([b"a", gzip.compress(b"b")])), Context().limits) == (
        b"a\nb\n"
    )


def test_drain_is_the_same_in_any_steps(stub):
    """As the contract says, over pages and shards that split."""
    stub.put("a", *[b"a%d" % n for n in range(13)])
    stub.put("b", *[b"b%d" % n for n in range(13)])
    stub.split("a", "c", "d")
    stub.put("c", b"c")

    class Case(SourceCase):
        def build(self):
            return Reader(stub).source

    whole = sorted(b"".join(drain(Case())).splitlines())
    assert len(whole) == 27
    for budget in (Budget(splits=1), Budget(bytes=20)):
        assert sorted(b"".join(drain(Case(), budget)).splitlines()) == whole
