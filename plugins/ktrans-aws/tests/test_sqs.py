"""The sqs source: what messages tell, when they are deleted, and what comes twice."""

import contextlib
import json
import re
import threading
import uuid
from urllib.parse import quote_plus

import pytest
from ktrans_aws.s3_events import announced

from ktrans.api import Budget, ConfigError, RejectError
from ktrans.kit.notifications import UnknownMessageError, message_bytes
from ktrans.testing.contracts import (
    NotificationCase,
    NotificationContract,
    SourceCase,
    SourceContract,
)
from ktrans.testing.contracts.sources import PlainMemory

pytestmark = pytest.mark.service("s3")


def record(bucket, key, event="ObjectCreated:Put", etag="e1", sequencer="0A", size=4, version=None):
    entity = {"key": quote_plus(key), "eTag": etag, "sequencer": sequencer, "size": size}
    if version:
        entity["versionId"] = version
    return {"eventName": event, "s3": {"bucket": {"name": bucket}, "object": entity}}


def body(*records):
    return json.dumps({"Records": list(records)})


def eventbridge(bucket, key, kind="Object Created"):
    entity = {"key": key, "etag": "e1", "size": 4, "sequencer": "0A", "version-id": "v"}
    detail = {"bucket": {"name": bucket}, "object": entity, "reason": "PutObject"}
    return json.dumps({"source": "aws.s3", "detail-type": kind, "detail": detail})


# -- what messages tell -----------------------------------------------------------------------


def created(*args):
    return announced(*args).objects


def test_case_29_keys_of_s3_are_url_encoded_and_those_of_eventbridge_are_not():
    key = "AWSLogs/aws-account-id=1/a b+c%20ü.log"
    assert [new.key for new in created(body(record("b", key)))] == [key]
    assert [new.key for new in created(eventbridge("b", key))] == [key]


def call(bucket, key, name="PutObject", **more):
    """Return a record of CloudTrail."""
    asked = {"bucketName": bucket, "key": key, "Host": f"{bucket}.s3.amazonaws.com"}
    return {
        "eventVersion": "1.09",
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "requestParameters": asked,
        "responseElements": {"x-amz-version-id": "v"},
        "requestID": "R",
        **more,
    }


def trail(detail):
    return {"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": detail}


RECORDS = json.loads(body(record("b", "k=1 +")))
BRIDGE = json.loads(eventbridge("b", "k=1 +"))
SHAPES = {
    "S3": RECORDS,
    "SNS": {"Type": "Notification", "MessageId": "m", "Message": json.dumps(RECORDS)},
    "EventBridge by SNS": {"Type": "Notification", "Message": json.dumps(BRIDGE)},
    "SNS for a function": {"Records": [{"Sns": {"Message": json.dumps(RECORDS)}}]},
    "SQS for a function": {"Records": [{"messageId": "m", "body": json.dumps(RECORDS)}]},
    "a batch": [BRIDGE],
    "JSON in a text": json.dumps(RECORDS),
    "EventBridge": BRIDGE,
    "EventBridge without detail-type": {"source": "aws.s3", "detail": BRIDGE["detail"]},
    "EventBridge with the detail alone": {"detail": BRIDGE["detail"]},
    "the detail": BRIDGE["detail"],
    "the detail as text": {"detail": json.dumps(BRIDGE["detail"])},
    "the detail without a reason": {
        name: value for name, value in BRIDGE["detail"].items() if name != "reason"
    },
    "CloudTrail": trail(call("b", "k=1 +")),
    "CloudTrail, upload in parts": trail(call("b", "k=1 +", "CompleteMultipartUpload")),
    "CloudTrail, copy": trail(call("b", "k=1 +", "CopyObject")),
    "CloudTrail without detail-type": {"detail": call("b", "k=1 +")},
    "a record of CloudTrail": call("b", "k=1 +"),
    "a file of CloudTrail": {"Records": [call("b", "k=1 +")]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_form_of_a_notification_announces_its_object(shape):
    told = announced(json.dumps(SHAPES[shape]))
    assert [new.uri for new in told.objects] == ["s3://b/k=1 +"]
    assert told.skipped == ()


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, "s3:TestEvent"),
        (json.loads(body(record("b", "k", "ObjectRemoved:Delete"))), "ObjectRemoved:Delete"),
        (json.loads(body(record("b", "k", "s3:ObjectRestore:Post"))), "s3:ObjectRestore:Post"),
        (
            json.loads(body(record("b", "k", "s3:Replication:OperationFailedReplication"))),
            "s3:Replication:OperationFailedReplication",
        ),
        (json.loads(eventbridge("b", "k", "Object Deleted")), "Object Deleted"),
        ({"detail": {**BRIDGE["detail"], "reason": "DeleteObject"}}, "Object Deleted"),
        (trail(call("b", "k", "DeleteObject")), "CloudTrail DeleteObject"),
        (trail(call("b", "k", "PutObjectAcl")), "CloudTrail PutObjectAcl"),
        (trail(call("b", "k", errorCode="AccessDenied")), "CloudTrail PutObject that failed"),
    ],
)
def test_case_29_events_that_bring_no_data_have_a_name(message, name):
    told = announced(json.dumps(message))
    assert told.objects == ()
    assert told.skipped == (name,)


def test_case_29_a_message_may_tell_of_several_objects():
    several = created(body(record("b", "1"), record("b", "2"), record("c", "1")))
    assert [new.uri for new in several] == ["s3://b/1", "s3://b/2", "s3://c/1"]
    mixed = announced(body(record("b", "1"), record("b", "2", "ObjectRemoved:Delete")))
    assert ([new.uri for new in mixed.objects], len(mixed.skipped)) == (["s3://b/1"], 1)


def test_case_29_the_same_event_is_known_however_its_sequencer_is_padded():
    one, other, later = (
        created(body(record("b", "k", sequencer=text)))[0].identity
        for text in ("00FF1", "ff1", "ff2")
    )
    assert one == other != later


def test_events_that_say_nothing_of_the_version_are_told_apart():
    one, again, other = (
        created(json.dumps(call("b", "k", requestID=text, responseElements=None)))[0].identity
        for text in ("1", "1", "2")
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("hello", "not JSON: hello"),
        ("[]", "no event"),
        ("{}", "an empty object"),
        ("3", "the JSON value 3"),
        ('{"Records": []}', "no event"),
        ('{"Records": 1}', "`Records`"),
        ('{"Records": [1]}', "the JSON value 1"),
        ('{"detail": {}}', "an empty object"),
        ('{"detail": {"a": 1}, "source": "aws.ec2"}', "aws.ec2"),
        ('{"Records": [{"eventName": "ObjectCreated:Put"}]}', "`eventName`"),
        ('{"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}', "no key"),
        ('{"Records": [{"eventName": "ObjectSynced:Create", "s3": {}}]}', "ObjectSynced:Create"),
        ('{"Type": "Notification"}', "empty"),
        ('{"Type": "SubscriptionConfirmation", "SubscribeURL": "u"}', "`SubscribeURL`"),
        (eventbridge("b", "k", "Object Sung"), "Object Sung"),
        (json.dumps({"detail": {**BRIDGE["detail"], "reason": "?"}}), "does not say what happened"),
        (json.dumps(trail(call("b", "k", "RenameObject"))), "RenameObject"),
        (json.dumps({"bucket": "b", "key": "k"}), "`bucket`, `key`"),
        ("[" * 5000, "not JSON"),
        ("[" * 50 + "]" * 50, "layers"),
    ],
)
def test_other_messages_say_what_was_seen(text, why):
    with pytest.raises(UnknownMessageError, match=re.escape(why)):
        announced(text)


# -- over a real queue ------------------------------------------------------------------------


class Site:
    """A queue that a bucket tells of its objects, and the state of a pipeline that reads it."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.sqs = cloud.server.client("sqs")
        self.url = self.sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
        self.memory = PlainMemory()
        self.position = None

    def notify(self):
        arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        config = {"QueueArn": arn["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        self.cloud.s3.put_bucket_notification_configuration(
            Bucket=self.cloud.bucket, NotificationConfiguration={"QueueConfigurations": [config]}
        )

    def send(self, text):
        self.sqs.send_message(QueueUrl=self.url, MessageBody=text)

    def put(self, key, data=b"data"):
        etag = self.cloud.put(key, data)["ETag"].strip('"')
        return record(self.cloud.bucket, key, etag=etag, size=len(data))

    def source(self, **options):
        raw = {
            "type": "sqs",
            "queue_url": self.url,
            "wait": 0,
            "gather_time": 60,
            **self.cloud.access,
        }
        context = {"ephemeral": options.pop("ephemeral", False)}
        return self.cloud.make("source", {**raw, **options}, **context)

    def plan(self, source, **budget):
        return source.plan(self.position, self.memory, Budget(**budget))

    def record(self, source, plan, waiting=(), rejected=()):
        """Do what the engine does after an epoch."""
        kept = {k: v for k, v in plan.remember.items() if k not in waiting}
        kept |= {key: {**kept[key], "rejected": True} for key in rejected}
        self.memory.record(type(plan)(plan.splits, plan.position, kept))
        self.position = json.loads(json.dumps(plan.position))
        left = tuple(s for s in plan.splits if s.key not in {*waiting, *rejected})
        source.commit(type(plan)(left, plan.position, plan.remember))

    def counts(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return tuple(int(found["Attributes"][name]) for name in names)


@pytest.fixture
def site(cloud):
    made = Site(cloud)
    yield made
    made.sqs.close()


class SqsCase(SourceCase):
    def __init__(self, site):
        self.site = site
        self.bodies = [body(site.put(f"{i}", f"{i} line\n".encode() * 100)) for i in range(6)]
        self.fresh()

    def build(self):
        return self.site.source()

    def next(self, source):
        return source  # it alone has the messages

    def fresh(self):
        """Begin a queue of the same messages."""
        self.site.url = self.site.sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
        for text in self.bodies:
            self.site.send(text)


class TestSqsSource(SourceContract):
    covers = ("sqs",)

    @pytest.fixture
    def case(self, site):
        return SqsCase(site)

    def same(self, one, other):
        return sorted(one) == sorted(other)


class SqsNotifications(NotificationCase):
    def __init__(self, site):
        self.site = site

    def build(self):
        return self.site.source()

    def parse(self, text):
        return announced(text)

    def announce(self, name):
        return body(self.site.put(name, name.encode()))

    def skipped(self):
        return {
            "s3:TestEvent": json.dumps({"Event": "s3:TestEvent"}),
            "ObjectRemoved:Delete": body(record("b", "k", "ObjectRemoved:Delete")),
            "Object Deleted": eventbridge("b", "k", "Object Deleted"),
            "CloudTrail DeleteObject": json.dumps(trail(call("b", "k", "DeleteObject"))),
        }

    def send(self, text):
        self.site.send(text)

    def left(self):
        return sum(self.site.counts())

    def reappear(self, source):
        for message in source._held.values():
            # The receipt of one that is deleted is refused.
            with contextlib.suppress(self.site.sqs.exceptions.ReceiptHandleIsInvalid):
                self.site.sqs.change_message_visibility(
                    QueueUrl=self.site.url, ReceiptHandle=message.receipt, VisibilityTimeout=0
                )


class TestNotifications(NotificationContract):
    @pytest.fixture
    def notifications(self, site):
        return SqsNotifications(site)


def read(source, split):
    with source.open(split) as payload, payload.open() as stream:
        return stream.read()


def test_notifications_of_a_real_bucket_are_read_and_deleted_after_the_commit(site):
    site.notify()
    keys = {f"AWSLogs/region=eu/{i} +ü.log": f"{i}".encode() * 9 for i in range(25)}
    for key, data in keys.items():
        site.cloud.put(key, data)
    with site.source() as source:
        plan = site.plan(source)
        assert {split.data["key"].partition("/")[2] for split in plan.splits} == set(keys)
        assert [read(source, s) for s in plan.splits] == [
            keys[s.data["key"].partition("/")[2]] for s in plan.splits
        ]
        assert sum(site.counts()) == 25  # the test event is gone already
        site.record(source, plan)
        assert site.counts() == (0, 0)
        source.commit(plan)
        assert site.plan(source) is None


def test_planning_twice_gives_the_same_plan(site):
    for i in range(12):
        site.send(body(site.put(f"{i}")))
    with site.source() as source:
        assert site.plan(source) == site.plan(source)


def test_what_comes_again_is_known_and_deleted_without_work(site):
    text = body(site.put("k"))
    site.send(text)
    with site.source() as source:
        site.record(source, site.plan(source))
        site.send(text)
        site.send(text)
        plan = site.plan(source)
        assert plan.splits == ()
        assert "2 messages came again" in plan.notes[0]
        assert site.counts() == (0, 0)


def test_two_messages_about_one_event_are_one_split_and_deleted_together(site):
    text = body(site.put("k"))
    site.send(text)
    site.send(text)
    with site.source() as source:
        plan = site.plan(source)
        assert len(plan.splits) == 1
        site.record(source, plan)
    assert site.counts() == (0, 0)


def test_a_message_is_kept_until_all_of_its_objects_are_recorded(site):
    site.send(body(site.put("a"), site.put("b")))
    with site.source() as source:
        plan = site.plan(source)
        waits = next(s.key for s in plan.splits if "/b?" in s.key)
        site.record(source, plan, waiting=[waits])
        assert sum(site.counts()) == 1
        again = site.plan(source)
        assert again is None
    handle = plan.splits[0].data["messages"][0]["handle"]
    site.sqs.change_message_visibility(QueueUrl=site.url, ReceiptHandle=handle, VisibilityTimeout=0)
    with site.source() as source:
        plan = site.plan(source)
        assert [split.key for split in plan.splits] == [waits]
        site.record(source, plan)
    assert site.counts() == (0, 0)


def test_a_message_that_is_no_notification_goes_to_the_rejects_and_away(site):
    site.send("what is this?")
    site.send(body(site.put("a")))
    with site.source() as source:
        plan = site.plan(source)
        poison = next(s for s in plan.splits if s.key.startswith("message:"))
        with pytest.raises(RejectError, match="what is this") as refused:
            source.open(poison)
        assert refused.value.code == "not_a_notification"
        assert message_bytes(poison) == (b"what is this?", True)
        site.record(source, plan, rejected=[poison.key])
    assert site.counts() == (0, 0)


@pytest.mark.parametrize("versioned", [False, True])
def test_an_object_that_cloudtrail_tells_of_is_looked_at_and_read(site, versioned):
    if versioned:
        site.cloud.s3.put_bucket_versioning(
            Bucket=site.cloud.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    version = site.cloud.put("k +", b"old").get("VersionId")
    told = call(site.cloud.bucket, "k +", responseElements={"x-amz-version-id": version})
    if versioned:
        site.cloud.put("k +", b"newer")
    site.send(json.dumps(trail(told)))
    with site.source() as source:
        plan = site.plan(source)
        assert [read(source, split) for split in plan.splits] == [b"old"]
        site.record(source, plan)
    assert site.counts() == (0, 0)


def test_an_object_that_is_gone_or_replaced_is_rejected_and_its_message_deleted(site):
    site.send(body(site.put("gone"), site.put("new")))
    site.cloud.s3.delete_object(Bucket=site.cloud.bucket, Key="gone")
    site.cloud.put("new", b"other data")
    with site.source() as source:
        plan = site.plan(source)
        codes = set()
        for split in plan.splits:
            with pytest.raises(RejectError) as refused:
                read(source, split)
            codes.add(refused.value.code)
        assert codes == {"object_gone", "object_replaced"}
        site.record(source, plan, rejected=[s.key for s in plan.splits])
    assert site.counts() == (0, 0)


def test_a_version_of_a_versioned_bucket_can_be_read_after_it_was_replaced(site):
    site.cloud.s3.put_bucket_versioning(
        Bucket=site.cloud.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    version = site.cloud.put("k", b"old")["VersionId"]
    site.cloud.put("k", b"new")
    site.send(body(record(site.cloud.bucket, "k", size=3, version=version)))
    with site.source() as source:
        assert read(source, site.plan(source).splits[0]) == b"old"


def test_a_size_that_is_not_told_is_looked_up(site):
    told = site.put("k")
    del told["s3"]["object"]["size"]
    site.send(body(told))
    with site.source() as source:
        assert read(source, site.plan(source).splits[0]) == b"data"


@pytest.mark.parametrize("size", [4, 9, None])
def test_without_an_etag_the_object_is_read_as_it_is_now(site, size):
    told = site.put("k")
    del told["s3"]["object"]["eTag"]
    told["s3"]["object"]["size"] = size
    site.send(body(told))
    with site.source() as source:
        plan = site.plan(source)
        assert read(source, plan.splits[0]) == b"data"
        site.record(source, plan)
    assert site.counts() == (0, 0)


def test_a_message_received_twice_in_one_plan_stays_until_all_of_its_objects_are_recorded(site):
    site.send(body(site.put("a"), site.put("b")))
    with site.source() as source:
        receive = source.queue.receive

        def twice(wait_secs):
            """Let the first message be seen again at once, as if its time were over."""
            source.queue.receive = receive
            got = receive(wait_secs)
            for message in got:
                site.sqs.change_message_visibility(
                    QueueUrl=site.url, ReceiptHandle=message.receipt, VisibilityTimeout=0
                )
            return [*got, *receive(0)]

        source.queue.receive = twice
        plan = site.plan(source)
        assert [len(split.data["messages"]) for split in plan.splits] == [2, 2]
        waits = next(s.key for s in plan.splits if "/b?" in s.key)
        site.record(source, plan, waiting=[waits])
        assert sum(site.counts()) == 1


def test_a_crash_before_the_commit_loses_nothing_and_repeats_nothing(site):
    site.send(body(site.put("a")))
    crashed = site.source(visibility_timeout=600)
    plan = site.plan(crashed)
    crashed.close()
    with site.source() as source:  # the engine does the epoch again, from the plan alone
        assert read(source, plan.splits[0]) == b"data"
        site.record(source, plan)
        assert site.counts() == (0, 0)
        assert site.plan(source) is None


def test_messages_of_others_and_unwanted_keys_are_deleted(site):
    for key in ("a/x.log.gz", "a/x.json", "b/x.log.gz"):
        site.send(body(site.put(key)))
    site.send(body(site.put("empty.log.gz", b"")))
    with site.source(include=["*.log.gz"], exclude=["*/b/*", "b/*"]) as source:
        plan = site.plan(source)
        assert [s.uri.rpartition("/")[2] for s in plan.splits] == ["x.log.gz"]
        assert "3 messages announced no new object" in plan.notes[1]
        assert "objects that `include` and `exclude` leave out" in plan.notes[0]
        assert "empty objects" in plan.notes[0]
        site.record(source, plan)
    assert site.counts() == (0, 0)


def test_a_look_takes_nothing_away(site):
    site.send(body(site.put("a")))
    site.send(json.dumps({"Event": "s3:TestEvent"}))
    with site.source(ephemeral=True) as source:
        assert len(site.plan(source).splits) == 1
    assert site.counts() == (2, 0)


def test_the_budget_is_kept(site):
    for i in range(30):
        site.send(body(site.put(f"{i}")))
    seen = []
    with site.source() as source:
        while (plan := site.plan(source, splits=7)) and plan.splits:
            assert len(plan.splits) <= 7
            seen += [split.uri for split in plan.splits]
            site.record(source, plan)
    assert len(seen) == len(set(seen)) == 30


@pytest.mark.slow
def test_messages_are_kept_from_others_while_they_are_worked_on(site):
    """For longer than they stay unseen by themselves."""
    site.send(body(site.put("a")))
    with site.source(visibility_timeout=15) as source:
        renewed = threading.Semaphore(0)
        change = source.queue._change

        def noted(*given):
            renewed.release()
            return change(*given)

        source.queue._change = noted
        plan = site.plan(source)
        for _ in range(4):
            assert renewed.acquire(timeout=120)
        assert site.counts() == (0, 1)
        site.record(source, plan)
        keeper = source.queue._thread
    assert site.counts() == (0, 0)
    assert not keeper.is_alive()


def test_a_worker_holds_what_it_opened_until_the_planner_has_deleted_it(site):
    site.send(body(site.put("a")))
    with site.source() as source, site.source() as worker:
        plan = site.plan(source)
        worker.open(plan.splits[0]).close()
        assert list(worker.queue.renew(worker.queue.receipts())) == []
        assert len(worker.queue.receipts()) == 1
        site.record(source, plan)
        assert list(worker.queue.renew(worker.queue.receipts())) == []
        assert worker.queue.receipts() == {}
    assert site.counts() == (0, 0)


def test_what_was_received_and_not_planned_is_given_back(site):
    for i in range(8):
        site.send(body(site.put(f"{i}")))
    with site.source() as source:
        assert len(site.plan(source, splits=3).splits) == 3
    assert site.counts() == (5, 3)


def test_what_is_remembered_is_forgotten_in_time(site):
    site.send(body(site.put("a")))
    with site.source(remember_for=1e-6) as source:
        site.record(source, site.plan(source))
        for name in ("b", "c"):
            site.send(body(site.put(name)))
            site.record(source, site.plan(source))
    assert sum(key.startswith("s3://") for key in site.memory) == 2 - 1


def test_check_names_a_queue_that_is_not_there(site):
    with site.source() as source:
        source.check()
    with site.source(queue_url=site.url + "-not") as source, pytest.raises(ConfigError) as missing:
        source.check()
    assert missing.value.code == "queue_missing"
