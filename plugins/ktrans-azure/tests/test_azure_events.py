"""Blobs announced by Event Grid in a storage queue: read once, and no message lost or kept."""

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build
from ktrans_azure.grid_events import CREATED, NotAnEventError, blobs_of

from ktrans.api import Budget, ConfigError, Context, RejectError, UsageError
from ktrans.testing.contracts.sources import PlainMemory, SourceCase, SourceContract, read
from tests.examples import examples

HOUR = timedelta(hours=1)


def event(container, name, **changes):
    return {
        "topic": "/subscriptions/5a5a/resourceGroups/shop/providers/Microsoft.Storage"
        "/storageAccounts/contoso",
        "subject": f"/blobServices/default/containers/{container}/blobs/{name}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "id": str(uuid.uuid4()),
        "eventTime": "2026-02-16T12:01:00.1234567Z",
        "data": {
            "api": "PutBlockList",
            "eTag": "0x8DE0123456789AB",
            "contentType": "application/octet-stream",
            "contentLength": 2048,
            "blobType": "BlockBlob",
            "url": f"https://contoso.blob.core.windows.net/{container}/{name}",
            "sequencer": "0000000000000000000000000000E52A00000000000321d1",
        },
        "dataVersion": "",
        "metadataVersion": "1",
        **changes,
    }


def cloud_event(container, name):
    classic = event(container, name)
    return {
        "specversion": "1.0",
        "source": classic["topic"],
        "type": classic["eventType"],
        "subject": classic["subject"],
        "id": classic["id"],
        "time": classic["eventTime"],
        "data": classic["data"],
    }


def packed(document):
    return base64.b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize("schema", [event, cloud_event])
@pytest.mark.parametrize("pack", [json.dumps, packed])
def test_events_of_both_schemas_are_read_plain_and_in_base64(schema, pack):
    one, other = schema("logs", "a/b=1/c.json"), schema("logs", "d")
    assert blobs_of(pack(one), "logs") == ["a/b=1/c.json"]
    assert blobs_of(pack([one, other]), "logs") == ["a/b=1/c.json", "d"]


def test_other_containers_and_other_kinds_of_events_are_left_out():
    gone = event("logs", "a", eventType="Microsoft.Storage.BlobDeleted")
    assert blobs_of(json.dumps([gone, event("others", "a")]), "logs") == []


def test_a_subject_without_a_blob_falls_back_on_the_address():
    odd = event("logs", "a b/c", subject="something else")
    odd["data"]["url"] = "https://contoso.blob.core.windows.net/logs/a%20b/c"
    assert blobs_of(json.dumps(odd), "logs") == ["a b/c"]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "12", '"text"', "[1]", "{}", "[[]]", "aGVsbG8=", '{"type": 1}', "[" * 9000, "\0"],
)
def test_what_is_no_event_is_poison(text):
    with pytest.raises(NotAnEventError):
        blobs_of(text, "logs")


_TEXTS = st.sampled_from(
    ["", "logs", "http://[", CREATED, "/blobServices/default/containers/logs/"]
)
_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | _TEXTS
_KEYS = st.sampled_from(["eventType", "type", "subject", "data", "url"])
_DOCUMENTS = st.recursive(
    _VALUES, lambda x: st.lists(x, max_size=3) | st.dictionaries(_KEYS, x, max_size=5), max_leaves=9
)


@settings(max_examples=examples(100), deadline=None)
@given(st.text(max_size=50) | _DOCUMENTS.map(json.dumps) | _DOCUMENTS.map(packed))
@example(json.dumps({"type": CREATED, "subject": "x", "data": {"url": "http://["}}))
def test_any_message_is_either_read_or_poison(text):
    try:
        names = blobs_of(text, "logs")
    except NotAnEventError:
        return
    assert all(isinstance(name, str) and name for name in names)


class Site:
    """A container, a queue with its events, and a source with its state."""

    def __init__(self, world, now, **options):
        from azure.storage.queue import QueueServiceClient

        self.world, self.now = world, now
        self.service = QueueServiceClient.from_connection_string(world.azurite.connection_string)
        self.queue = self.service.create_queue(f"events-{uuid.uuid4().hex[:12]}")
        self.options = world.options(queue={"name": self.queue.queue_name}, **options)
        self.memory, self.position, self.plans, self.sources = PlainMemory(), None, [], []

    def tell(self, *names, pack=packed, schema=event):
        for name in names:
            self.queue.send_message(pack(schema(self.world.name, name)))

    def source(self, **context):
        source = build(AzureBlobSourceConfig(**self.options), Context(**context))
        source.now = lambda: self.now
        self.sources.append(source)
        return source

    def plan(self, source, budget=None):
        return source.plan(self.position, self.memory, budget or Budget())

    def record(self, plan):
        self.memory.record(plan)
        self.position = json.loads(json.dumps(plan.position))

    def epoch(self, budget=None, source=None):
        source = source or self.source()
        plan = self.plan(source, budget)
        self.plans.append(plan)
        if plan is None:
            return None
        data = {split.data["key"]: read(source, split) for split in plan.splits}
        if plan.splits:
            self.record(plan)
            source.commit(plan)
        return data

    def waiting(self):
        """Messages that are in the queue, hidden ones included."""
        return self.queue.get_queue_properties().approximate_message_count

    def show(self):
        """Make hidden messages appear at once, as if their time were over."""
        for source in self.sources:
            source.close()
        self.queue.close()

    def close(self):
        for source in self.sources:
            source.close()
        self.service.close()


@pytest.fixture
def make(world, noon):
    sites = []

    def site(**options):
        # Azurite dates blobs by the real clock, hour blobs are named by that of the test.
        later = datetime.now(UTC) + timedelta(days=1)
        now = noon + timedelta(minutes=30) if options["layout"] == "flow_logs" else later
        sites.append(Site(world, now, **options))
        return sites[-1]

    yield site
    for one in sites:
        one.close()


@pytest.fixture(params=["flow_logs", "plain"])
def either(request, make):
    return make(layout=request.param)


@pytest.mark.service("azurite")
class TestBothLayouts:
    def test_what_is_announced_is_read_once_and_its_message_deleted(self, either, world, noon):
        blob = world.hour(noon).grow()
        world.hour(noon, mac="000000000001").grow()  # nobody has told of it yet
        either.tell(blob.name, blob.name)
        data = either.epoch()
        assert list(data) == [blob.name]
        assert data[blob.name].startswith(blob.data)
        assert either.waiting() == 0
        assert either.epoch() is None

    def test_messages_stay_until_the_epoch_is_recorded(self, either, world, noon):
        blob = world.hour(noon).grow()
        either.tell(blob.name)
        source = either.source()
        plan = either.plan(source)
        assert either.waiting() == 1
        assert either.plan(source) == plan, "nothing is used up by looking"
        either.record(plan)
        either.source().commit(plan)  # a new process does it, after a crash
        assert either.waiting() == 0

    def test_a_message_that_comes_again_is_known_and_deleted(self, either, world, noon):
        blob = world.hour(noon).grow()
        either.tell(blob.name)
        either.epoch()
        either.tell(blob.name)
        assert either.epoch() is None
        assert either.waiting() == 0

    def test_what_is_no_event_becomes_a_reject(self, either, world, noon):
        blob = world.hour(noon).grow()
        either.queue.send_message("hello")
        either.tell(blob.name)
        source = either.source()
        plan = either.plan(source)
        bad = [split for split in plan.splits if "no_event" in split.data]
        assert len(bad) == 1
        with pytest.raises(RejectError, match="hello"):
            source.open(bad[0])
        either.record(plan)
        source.commit(plan)
        assert either.waiting() == 0

    def test_messages_beyond_the_budget_stay_held(self, either, world, noon):
        blobs = [world.hour(noon, mac=f"{n:012X}").grow() for n in range(5)]
        either.tell(*(blob.name for blob in blobs))
        source = either.source()
        seen = []
        for left in (3, 1, 0):
            seen += either.epoch(Budget(splits=2), source)
            assert either.waiting() == left
        assert sorted(seen) == sorted(blob.name for blob in blobs)

    def test_messages_are_kept_hidden_while_an_epoch_runs(self, either, world, noon):
        either.options["queue"]["visibility_timeout"] = 3
        blob = world.hour(noon).grow()
        either.tell(blob.name)
        source = either.source()
        plan = either.plan(source)
        (message,) = source.queue.take()
        first = message.receipt
        import time

        deadline = time.monotonic() + 60
        while message.receipt == first and time.monotonic() < deadline:
            time.sleep(0.05)
            (message,) = source.queue.take()
        assert message.receipt != first
        either.record(plan)
        source.commit(plan)
        assert either.waiting() == 0

    def test_a_look_leaves_no_trace(self, either, world, noon):
        blob = world.hour(noon).grow()
        either.tell(blob.name)
        plan = either.plan(either.source(ephemeral=True))
        assert len(plan.splits) == 1
        assert list(either.epoch()) == [blob.name]

    def test_events_about_others_are_deleted(self, either, world):
        either.tell("other/thing.txt", pack=lambda e: json.dumps({**e, "eventType": "Deleted"}))
        either.queue.send_message(packed(event("elsewhere", "x")))
        assert either.epoch() is None
        assert either.waiting() == 0

    def test_a_blob_that_is_gone_is_no_error(self, either, roots, noon):
        either.tell(f"{roots[1]}y=2026/m=02/d=16/h=12/m=00/macAddress=000000000001/PT1H.json")
        assert either.epoch() is None
        assert either.waiting() == 0

    def test_check_names_a_missing_queue(self, either):
        either.source().check()
        either.options["queue"] = {"name": "nobody-made-it"}
        with pytest.raises(ConfigError, match="the queue nobody-made-it does not exist"):
            either.source().check()


@pytest.mark.service("azurite")
class TestFlowLogs:
    @pytest.fixture
    def site(self, make):
        return make(layout="flow_logs")

    def test_only_what_is_new_in_a_blob_is_read(self, site, world, noon):
        blob = world.hour(noon).grow()
        site.tell(blob.name)
        assert site.epoch() == {blob.name: blob.data}
        blob.grow()
        site.tell(blob.name)
        assert site.epoch() == {blob.name: blob.minutes[-1]}

    def test_a_lost_event_is_made_good_when_its_hour_closes(self, site, world, noon):
        told, untold = world.hour(noon).grow(), world.hour(noon, mac="000000000001").grow()
        site.tell(told.name)
        assert set(site.epoch()) == {told.name}
        site.now = noon + 5 * HOUR
        assert site.epoch() == {untold.name: untold.data}
        late = world.hour(noon + 5 * HOUR).grow()
        site.tell(late.name)
        assert set(site.epoch()) == {late.name}
        assert set(site.memory) == {f"{world.name}/{late.name}"}
        told.grow()
        site.tell(told.name)
        assert site.epoch() == {}
        assert "after the hour was closed" in site.plans[-1].notes[0]
        assert site.waiting() == 0

    def test_a_blob_read_in_parts_keeps_its_message(self, site, world, noon):
        blob = world.hour(noon)
        for _ in range(4):
            blob.grow(tuples=20)
        site.tell(blob.name)
        source, parts = site.source(), []
        room = Budget(bytes=len(blob.minutes[0]) * 2 + 100)
        while (data := site.epoch(room, source)) is not None:
            parts.append(data[blob.name])
        assert b"".join(parts) == blob.data
        assert len(parts) == 2
        assert site.waiting() == 0


@pytest.mark.service("azurite")
class TestPlain:
    @pytest.fixture
    def site(self, make):
        return make(layout="plain", exclude=["*.tmp"])

    def test_a_blob_that_was_replaced_is_read_again(self, site, world):
        for text in (b"one", b"two"):
            world.container.upload_blob("a.log", text, overwrite=True)
            site.tell("a.log")
            assert site.epoch() == {"a.log": text}
        assert "replaced" in site.plans[-1].notes[0]

    def test_what_was_quarantined_is_tried_again_without_a_message(self, site, world):
        world.container.upload_blob("a.log", b"one")
        site.tell("a.log")
        source = site.source()
        plan = site.plan(source)
        uri = plan.splits[0].key
        remember = {key: value for key, value in plan.remember.items() if key != uri}
        site.record(type(plan)(plan.splits, plan.position, remember))
        source.commit(plan)
        assert site.waiting() == 0
        assert site.plan(site.source(), Budget(skip=frozenset({uri}))) is None
        assert site.epoch() == {"a.log": b"one"}
        assert site.epoch() is None

    def test_a_blob_that_was_just_written_waits(self, make, world, noon):
        site = make(layout="plain", min_age=60)
        world.container.upload_blob("a.log", b"one")
        site.tell("a.log")
        source = site.source()
        site.now = datetime.now(UTC)
        assert site.epoch(source=source) == {}
        assert site.waiting() == 1
        site.now += timedelta(minutes=10)
        assert site.epoch(source=source) == {"a.log": b"one"}

    def test_state_is_forgotten_after_the_look_back(self, site, world, noon):
        for day in range(4):
            site.now += timedelta(days=2)
            world.container.upload_blob(f"{day}.log", b"one")
            site.tell(f"{day}.log")
            assert len(site.epoch()) == 1
        assert len(site.memory) <= 4

    def test_there_is_no_start_in_a_queue(self, site):
        with pytest.raises(UsageError):
            site.source().position_from("2026-01-01")


@pytest.mark.service("azurite")
def test_a_run_puts_bad_messages_into_the_rejects(make, site, world, noon):
    queue = make(layout="flow_logs")
    blob = world.hour(noon).grow()
    queue.queue.send_message("hello")
    queue.tell(blob.name)
    pipeline = site(queue.options)
    assert pipeline.run() == 65
    assert pipeline.rows() == world.written
    (reject,) = pipeline.rejects()
    assert reject["reason"] == "bad_event"
    assert "hello" in reject["detail"]
    assert queue.waiting() == 0
    assert pipeline.run() == 0


class Case(SourceCase):
    """The world is told anew for each reading: messages are used up."""

    def __init__(self, site, names):
        self.site, self.names = site, names
        self.fresh()

    def build(self):
        return self.site.source()

    def next(self, source):
        return source

    def fresh(self):
        for source in self.site.sources:
            source.close()
        self.site.queue.clear_messages()
        self.site.tell(*self.names)


@pytest.mark.service("azurite")
class TestContract(SourceContract):
    covers = ("azure_blob",)

    @pytest.fixture
    def case(self, either, world, noon):
        names = [world.hour(noon, mac=f"{n:012X}").grow().name for n in range(5)]
        return Case(either, names)

    def same(self, one, other):
        return sorted(one) == sorted(other)
