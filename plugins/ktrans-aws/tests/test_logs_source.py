"""The cloudwatch_logs source: each event once, whenever it comes within the look-back."""

import random
import time
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from ktrans_aws.logs_client import LogsClient
from ktrans_aws.logs_config import CloudwatchLogsSourceConfig
from ktrans_aws.logs_source import CloudwatchLogsSource
from pydantic import ValidationError

from ktrans.api import (
    Budget,
    ConfigError,
    Context,
    RejectError,
    RunError,
    UnavailableError,
    UsageError,
)
from ktrans.testing.clock import MovableClock
from ktrans.testing.contracts.sources import SourceCase, SourceContract, read
from tests.plan_reader import PlanReader
from tests.rows_site import RowsSite, kill, line_of
from tests.services.logs_stub import PAGE, LogsStub

# -- against a server -------------------------------------------------------------------------


class Groups:
    """Log groups of moto, below a prefix of their own."""

    def __init__(self, server):
        self.server = server
        self.client = server.client("logs")
        self.prefix = f"/t{uuid.uuid4().hex[:10]}/"
        self.access = {
            "group_prefixes": [self.prefix],
            "endpoint_url": server.url,
            "region": server.region,
            "access_key_id": "testing",
            "secret_access_key": "testing",
            "requests_per_second": 1000,
        }

    def create(self, name, *streams):
        self.client.create_log_group(logGroupName=self.prefix + name)
        for stream in streams:
            self.client.create_log_stream(logGroupName=self.prefix + name, logStreamName=stream)

    def put(self, name, stream, messages, ago=0):
        now = int(time.time() * 1000) - ago * 1000
        events = [{"timestamp": now, "message": message} for message in messages]
        self.client.put_log_events(
            logGroupName=self.prefix + name, logStreamName=stream, logEvents=events
        )

    def source(self, **options):
        options = {**self.access, **options}
        config = CloudwatchLogsSourceConfig(type="cloudwatch_logs", **options)
        return CloudwatchLogsSource(config, Context())


@pytest.fixture
def groups(s3_server):
    made = Groups(s3_server)
    yield made
    made.client.close()


@pytest.mark.service("s3")
class TestContract(SourceContract):
    covers = ("cloudwatch_logs",)

    @pytest.fixture
    def case(self, groups):
        class Case(SourceCase):
            def build(self):
                return groups.source()

        for name in ("a", "b", "c"):
            groups.create(name, "s1", "s2")
            for at in range(4):
                lines = [f"{name} line {at} {n}" for n in range(30)]
                groups.put(name, f"s{at % 2 + 1}", lines, ago=100 * at + 5)
        return Case()


@pytest.mark.service("s3")
def test_the_check_finds_what_is_missing(groups):
    groups.create("a")
    groups.source().check()
    with pytest.raises(ConfigError) as caught:
        groups.source(groups=[groups.prefix + "nope"]).check()
    assert (caught.value.code, caught.value.field) == ("not_found", "groups")
    with pytest.raises(UnavailableError):
        groups.source(endpoint_url="http://127.0.0.1:9", max_attempts=1).check()


@pytest.mark.service("s3")
def test_lines_become_rows_and_late_ones_too(groups, tmp_path):
    groups.create("a", "eni-1", "eni-2")
    groups.put("a", "eni-1", [line_of(n) for n in range(50)], ago=60)
    groups.put("a", "eni-2", [line_of(n) for n in range(50, 80)], ago=10)
    site = RowsSite(tmp_path, {"type": "cloudwatch_logs", **groups.access})
    assert site.run() == 0, site.output
    assert site.rows() == Counter(range(80))
    groups.put("a", "eni-1", [line_of(n) for n in range(80, 90)], ago=500)
    groups.create("b", "eni-3")
    groups.put("b", "eni-3", [line_of(n) for n in range(90, 95)])
    assert site.run() == 0, site.output
    assert site.run() == 0, site.output
    assert site.rows() == Counter(range(95))
    assert site.receipt["outcome"] == "nothing_to_do"
    assert site.rejects() == []


@pytest.mark.service("s3")
@pytest.mark.slow
def test_kills_of_runs_while_events_come(groups, tmp_path):
    """Twenty of them; every event becomes a row once, also those that come late."""
    groups.create("a", "s")
    groups.create("b", "s")
    site = RowsSite(
        tmp_path,
        {"type": "cloudwatch_logs", **groups.access, "read_ahead": "64 KiB"},
        {"epoch_splits": 2, "task_size": 20_000},
    )
    rng = random.Random(9)
    made = kills = 0
    while kills < 20:
        for name in ("a", "b"):
            lines = [line_of(n) for n in range(made, made + 400)]
            groups.put(name, "s", lines, ago=rng.choice([0, 0, 30, 300]))
            made += 400
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
    made = LogsStub(clock)
    made.create("vpc/a", days=1)
    clock.advance(minutes=30)
    return made


class Reader(PlanReader):
    """Reads the stub."""

    def __init__(self, stub, **options):
        self.stub = stub
        self.options = {"group_prefixes": ["vpc/"], **options}
        super().__init__()

    def restart(self):
        config = CloudwatchLogsSourceConfig(type="cloudwatch_logs", **self.options)
        self.source = CloudwatchLogsSource(config, Context(clock=self.stub.clock))
        self.source.__dict__["logs"] = LogsClient(self.stub, config, self.source.context)


def test_late_events_are_read_once_within_the_lookback(stub, clock):
    reader = Reader(stub, lookback="10m")
    stub.put("vpc/a", "one", "two")
    assert reader.read() == (["one", "two"], [])
    for minute in range(1, 30):
        clock.advance(minutes=1)
        stub.put("vpc/a", f"late {minute}", ago=540)
        stub.put("vpc/a", f"now {minute}")
        if minute % 3:
            reader.restart()
        assert sorted(reader.read()[0]) == [f"late {minute}", f"now {minute}"]
    assert len(reader.memory) < 30, "what is older than the look-back is not forgotten"
    stub.put("vpc/a", "too late", ago=3600)
    reader.restart()
    assert reader.read() == ([], [])


@pytest.mark.parametrize("events", [1, PAGE, 3 * PAGE + 1])
def test_pages_and_events_of_one_time_in_small_epochs(stub, events):
    """An epoch may end amid events of one time."""
    reader = Reader(stub, read_ahead=1 << 16)
    messages = [f"{n} {'x' * 20_000}" for n in range(events)]
    stub.put("vpc/a", *messages)
    assert sorted(reader.read()[0]) == sorted(messages)
    reader.restart()
    assert reader.read() == ([], [])


@pytest.mark.parametrize("restart", [True, False])
def test_events_after_a_round_that_ended_amid_a_group_are_read(stub, clock, restart):
    """The part of the round that was left has no events, so no epoch records that it is over."""
    reader = Reader(stub, read_ahead=1 << 16)
    messages = [f"{n} {'x' * 20_000}" for n in range(4)]
    stub.put("vpc/a", *messages)
    clock.advance(10)
    reader.record(reader.plan())
    clock.advance(minutes=2)
    stub.put("vpc/a", "later")
    if restart:
        reader.restart()
    for _ in range(3):
        lines, _ = reader.read()
        if lines:
            break
        clock.advance(minutes=2)
    assert lines[-1:] == ["later"]


def test_a_prefix_without_groups_is_noted(stub, clock):
    reader = Reader(stub, group_prefixes=["vpc/", "typo/"])
    stub.put("vpc/a", "one")
    assert reader.plan().notes == ("no log group begins with typo/",)
    reader = Reader(stub, group_prefixes=["typo/"])
    plan = reader.plan()
    assert (plan.splits, plan.notes) == ((), ("no log group begins with typo/",))


def test_a_backlog_is_not_looked_at_twice(stub, clock):
    """Only a new round begins with the look-back."""
    reader = Reader(stub, read_ahead=1 << 16, lookback="20m")
    for _ in range(30):
        stub.put("vpc/a", *["x" * 15_000] * PAGE)
        clock.advance(10)
    stub.requests.clear()
    assert len(reader.read()[0]) == 30 * PAGE
    assert len(stub.requests) < 5 * 30


def test_with_follow_a_round_begins_after_the_interval(stub, clock):
    reader = Reader(stub, interval="5m")
    stub.put("vpc/a", "one")
    assert reader.read()[0] == ["one"]
    stub.put("vpc/a", "two")
    stub.requests.clear()
    for _ in range(4):
        clock.advance(minutes=1)
        assert reader.plan() is None
    assert stub.requests == []
    clock.advance(minutes=2)
    assert reader.read()[0] == ["two"]


def test_a_split_is_read_again_exactly_or_is_lost(stub, clock):
    reader = Reader(stub)
    stub.put("vpc/a", *[f"line {n}" for n in range(10)], ago=60)
    stub.put("vpc/a", "last")
    (split,) = reader.plan().splits
    stub.put("vpc/a", "late", ago=30)
    whole = read(reader.source, split)
    reader.restart()
    assert read(reader.source, split) == whole
    clock.advance(hours=25)
    stub.trim()
    with pytest.raises(RejectError) as caught:
        reader.source.open(split)
    assert caught.value.code == "records_lost"
    del stub.groups["vpc/a"]
    with pytest.raises(RejectError):
        reader.source.open(split)


def test_what_was_quarantined_is_planned_again_and_nothing_else(stub, clock):
    stub.create("vpc/b")
    reader = Reader(stub)
    stub.put("vpc/a", "one")
    stub.put("vpc/b", "two")
    plan = reader.plan()
    bad, _ = plan.splits
    reader.record(plan)
    del reader.memory[bad.key]  # the engine keeps nothing of a quarantined split
    for _ in range(3):
        clock.advance(minutes=2)
        reader.restart()
        assert reader.plan(Budget(skip=frozenset([bad.key]))) is None
    reader.restart()
    assert reader.read() == (["one"], [])
    for _ in range(3):
        clock.advance(minutes=2)
        reader.restart()
        assert reader.read() == ([], [])


def test_a_longer_lookback_reads_nothing_twice(stub, clock):
    """The ids of what came before the shorter one are forgotten."""
    reader = Reader(stub, lookback="5m")
    stub.put("vpc/a", "one")
    assert reader.read()[0] == ["one"]
    for minute in range(2, 30, 9):
        clock.advance(minutes=9)
        stub.put("vpc/a", f"now {minute}")
        assert reader.read()[0] == [f"now {minute}"]
    reader.options["lookback"] = "1h"
    reader.restart()
    assert reader.read() == ([], [])
    clock.advance(minutes=40)
    stub.put("vpc/a", "late", ago=2000)
    reader.restart()
    assert reader.read() == (["late"], [])


def test_a_stop_does_not_wait_until_events_are_found(stub, clock):
    """As they may not be, in a large group with a pattern that little matches."""
    reader = Reader(stub)
    stub.put("vpc/a", *[str(n) for n in range(10 * PAGE)])
    assert len(reader.read()[0]) == 10 * PAGE
    clock.advance(minutes=5)
    stub.requests.clear()
    reader.restart()
    reader.source.context = replace(reader.source.context, stopping=lambda: len(stub.requests) > 1)
    assert reader.plan() is None
    assert len(stub.requests) < 5
    reader.restart()
    assert reader.read() == ([], [])


def test_throttling_is_waited_out_and_requests_are_paced(stub, clock):
    reader = Reader(stub, requests_per_second=2)
    stub.put("vpc/a", *[str(n) for n in range(3 * PAGE)])
    stub.faults = ["ThrottlingException", None, "ServiceUnavailableException"]
    before = clock.monotonic()
    assert len(reader.read()[0]) == 3 * PAGE
    assert clock.monotonic() - before >= 0.5 * 3


def test_what_retention_removed_unread_stops_the_run(stub, clock):
    reader = Reader(stub)
    stub.put("vpc/a", "one")
    reader.read()
    stub.put("vpc/a", "two")
    clock.advance(hours=40)
    stub.trim()
    stub.put("vpc/a", "three")
    reader.restart()
    with pytest.raises(RunError) as caught:
        reader.plan()
    assert caught.value.code == "records_lost"
    reader.options["on_lost"] = "skip"
    reader.restart()
    lines, notes = reader.read()
    assert lines == ["three"]
    assert "retention" in notes[0]


def test_a_quiet_group_is_not_taken_for_one_that_lost_events(stub, clock):
    reader = Reader(stub)
    stub.put("vpc/a", "one")
    reader.read()
    for _ in range(10):
        clock.advance(hours=5)
        stub.trim()
        reader.restart()
        assert reader.read() == ([], [])
    stub.put("vpc/a", "two")
    reader.restart()
    assert reader.read() == (["two"], [])


def test_groups_that_come_and_go(stub, clock):
    reader = Reader(stub)
    stub.put("vpc/a", "one")
    assert reader.read()[0] == ["one"]
    stub.create("vpc/b")
    stub.create("other")
    stub.put("vpc/b", "two")
    stub.put("other", "three")
    del stub.groups["vpc/a"]
    clock.advance(minutes=2)
    reader.restart()
    lines, notes = reader.read()
    assert lines == ["two"]
    assert notes == ["the log group vpc/a does not exist any more"]


def test_latest_and_times_and_from(stub, clock):
    stub.put("vpc/a", "before")
    clock.advance(minutes=5)
    latest = Reader(stub, start="latest")
    assert latest.read() == ([], [])
    timed = Reader(stub, start="2026-01-01T00:34:00")
    stub.put("vpc/a", "after")
    clock.advance(minutes=5)
    latest.restart()
    assert latest.read()[0] == ["after"]
    assert timed.read()[0] == ["after"]
    timed.restart()
    timed.position = timed.source.position_from("earliest")
    assert timed.read()[0] == ["before", "after"]
    with pytest.raises(UsageError):
        timed.source.position_from("yesterday")


def test_what_is_asked_of_the_service(stub):
    reader = Reader(stub, stream_prefix="eni-", filter_pattern="REJECT")
    reader.read()
    assert stub.requests[0]["logStreamNamePrefix"] == "eni-"
    assert stub.requests[0]["filterPattern"] == "REJECT"


@pytest.mark.parametrize("options", [{"groups": []}, {"groups": ["a"], "start": "soon"}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        CloudwatchLogsSourceConfig(type="cloudwatch_logs", **options)
