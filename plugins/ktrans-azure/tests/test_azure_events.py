"""Blobs announced by Event Grid in a storage queue: read once, and no message lost or kept."""

import base64
import contextlib
import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build
from ktrans_azure.grid_events import CREATED, FOLDER_RENAMED, announced

from ktrans.api import Budget, ConfigError, Context, RejectError, UsageError
from ktrans.kit.notifications import UnknownMessageError, message_bytes
from ktrans.testing.contracts import NotificationCase, NotificationContract
from ktrans.testing.contracts.sources import PlainMemory, SourceCase, SourceContract, read

HOUR = timedelta(hours=1)
SUBJECT = "/blobServices/default/containers/"


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


def blobs_of(text):
    return list(announced(text, "logs").objects)


@pytest.mark.parametrize("schema", [event, cloud_event])
@pytest.mark.parametrize("pack", [json.dumps, packed, lambda x: packed(x) + "\n"])
def test_events_of_both_schemas_are_read_plain_and_in_base64(schema, pack):
    one, other = schema("logs", "a/b=1/c.json"), schema("logs", "d")
    assert blobs_of(pack(one)) == ["a/b=1/c.json"]
    assert blobs_of(pack([one, other])) == ["a/b=1/c.json", "d"]


@pytest.mark.parametrize("api", ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"])
def test_a_blob_is_new_by_any_call(api):
    told = event("logs", "a")
    told["data"]["api"] = api
    assert blobs_of(json.dumps(told)) == ["a"]


def test_a_renamed_blob_is_read_under_its_new_name():
    told = event("logs", "new", eventType="Microsoft.Storage.BlobRenamed")
    address = "https://contoso.dfs.core.windows.net/logs"
    told["data"] = {
        "api": "RenameFile",
        "sourceUrl": f"{address}/old",
        "destinationUrl": f"{address}/new",
    }
    assert blobs_of(json.dumps(told)) == ["new"]
    assert blobs_of(json.dumps({**told, "subject": ""})) == ["new"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[
            (kind, kind)
            for kind in (
                "Microsoft.Storage.BlobDeleted",
                "Microsoft.Storage.BlobTierChanged",
                "Microsoft.Storage.DirectoryCreated",
                "Microsoft.EventGrid.SubscriptionValidationEvent",
            )
        ],
        ("Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobCreated in other containers"),
    ],
)
def test_events_that_bring_no_data_have_a_name(kind, name):
    told = announced(json.dumps([event("others", "a", eventType=kind)]), "logs")
    assert (told.objects, told.skipped) == ((), (name,))


def test_a_subject_without_a_blob_falls_back_on_the_address():
    odd = event("logs", "a b/c", subject="something else")
    odd["data"]["url"] = "https://contoso.blob.core.windows.net/logs/a%20b/c"
    assert blobs_of(json.dumps(odd)) == ["a b/c"]
    odd["data"]["url"] = "https://contoso.blob.core.windows.net/others/logs/c"
    assert blobs_of(json.dumps(odd)) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("hello", "not JSON: hello"),
        ("aGVsbG8=", "not JSON: hello"),
        ("12", "the JSON value 12"),
        ('"text"', "text"),
        ("[]", "no event"),
        ("[1]", "the JSON value 1"),
        ("{}", "an empty object"),
        ("[[]]", "a JSON array of 0 items"),
        ('{"type": 1}', "`type`"),
        ('{"type": "T", "subject": "s"}', "the type T"),
        (json.dumps({"type": CREATED, "subject": "x"}), "names no blob"),
        (json.dumps({"type": CREATED, "data": {"url": "http://["}}), "names no blob"),
        (json.dumps({"type": FOLDER_RENAMED, "subject": f"{SUBJECT}logs/blobs/f"}), "a folder"),
        ("[" * 9000, "not JSON"),
        ("\0", "not JSON"),
    ],
)
def test_other_messages_say_what_was_seen(text, why):
    with pytest.raises(UnknownMessageError, match=re.escape(why)):
        announced(text, "logs")


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
        bad = [split for split in plan.splits if message_bytes(split)[0] is not None]
        assert [message_bytes(split) for split in bad] == [(b"hello", True)]
        with pytest.raises(RejectError, match="hello"):
            source.open(bad[0])
        either.record(plan)
        source.commit(plan)
        assert either.waiting() == 0
        assert set(either.position["refused"]) == {bad[0].key} <= set(either.memory)

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
        gone = "Microsoft.Storage.BlobDeleted"
        either.tell("other/thing.txt", pack=lambda e: json.dumps({**e, "eventType": gone}))
        either.queue.send_message(packed(event("elsewhere", "x")))
        assert either.epoch() == {}
        (note,) = either.plans[-1].notes
        assert gone in note
        assert "BlobCreated in other containers" in note
        assert either.waiting() == 0

    def test_a_blob_that_is_gone_is_no_error(self, either, roots, noon):
        either.tell(f"{roots[1]}y=2026/m=02/d=16/h=12/m=00/macAddress=000000000001/PT1H.json")
        assert either.epoch() == {}
        assert "blobs that are gone" in either.plans[-1].notes[0]
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
        assert "after the hour was closed" in site.plans[-1].notes[-1]
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
    assert (reject["reason"], reject["raw"]) == ("not_a_notification", "hello")
    assert reject["raw_complete"]
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


class Announcements(NotificationCase):
    def __init__(self, site):
        self.site = site

    def build(self):
        return self.site.source()

    def parse(self, text):
        return announced(text, self.site.world.name)

    def announce(self, name):
        self.site.world.container.upload_blob(name, name.encode(), overwrite=True)
        return json.dumps(event(self.site.world.name, name))

    def skipped(self):
        kinds = ["Microsoft.Storage.BlobDeleted", "Microsoft.EventGrid.SubscriptionValidationEvent"]
        return {kind: json.dumps([event("logs", "a", eventType=kind)]) for kind in kinds}

    def send(self, text):
        self.site.queue.send_message(text)

    def left(self):
        return self.site.waiting()

    def reappear(self, source):
        for one, receipt in source.queue.receipts().items():
            with contextlib.suppress(HttpResponseError):  # it is deleted
                self.site.queue.update_message(one, receipt, visibility_timeout=0)


@pytest.mark.service("azurite")
class TestNotifications(NotificationContract):
    @pytest.fixture
    def notifications(self, make):
        return Announcements(make(layout="plain"))
