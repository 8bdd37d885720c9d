"""A blob that may not be looked at waits, and keeps no other blob from being read."""

import json
from types import SimpleNamespace

import pytest
from ktrans_azure.blob_container import BlockList
from ktrans_azure.blob_source_config import AzureBlobSourceConfig
from ktrans_azure.build_source import build

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    Context,
    Plan,
    RejectError,
    RetryableError,
    RunError,
    SplitChangedError,
)
from ktrans.kit.objects.message_hold import QueueMessage
from ktrans.testing.contracts.sources import PlainMemory
from ktrans.testing.memory_bucket import MemoryBucket

LATE = "flowLogResourceID=/x/y=2026/m=05/d=04/h=13/m=00/macAddress=00/PT1H.json"


def source(bucket, **options):
    config = AzureBlobSourceConfig(account="contoso", **options)
    made = build(config, Context())
    made.__dict__.update(store=bucket, container=bucket)
    return made


def forbid(bucket, *names):
    def fail(kind, key):
        return AccessError(f"403 for {key}") if kind == "stat" and key in names else None

    bucket.fail = fail


def announced(*names):
    """Return a queue whose messages announce blobs, and come again until they are deleted."""
    held = []
    for name in names:
        event = {
            "eventType": "Microsoft.Storage.BlobCreated",
            "subject": f"/blobServices/default/containers/c/blobs/{name}",
        }
        held.append(QueueMessage(name, "receipt", json.dumps(event), None))
    queue = SimpleNamespace(uri="queue", take=lambda: list(held), close=lambda: None)
    queue.delete = lambda gone: [held.remove(one) for one in list(held) if one.id in gone]
    queue.held = held
    return queue


def test_an_announced_blob_that_may_not_be_looked_at_waits():
    bucket = MemoryBucket()
    bucket.put("fine", b"1")
    bucket.put("secret", b"1")
    forbid(bucket, "secret")
    made = source(bucket, container="c", layout="plain", queue={"name": "events"})
    made.__dict__["queue"] = queue = announced("fine", "secret")
    plan = made.plan(None, PlainMemory(), Budget())
    assert [split.data["key"] for split in plan.splits] == ["fine"]
    assert plan.position["messages"] == {"fine": "receipt"}
    assert "mem://bucket/secret" in str(plan.left)
    assert [message.id for message in queue.held] == ["fine", "secret"]
    forbid(bucket)
    plan = made.plan(None, PlainMemory(), Budget())
    assert {split.data["key"] for split in plan.splits} == {"fine", "secret"}
    made.__dict__.pop("queue")
    made.close()


def test_when_every_announced_blob_is_refused_that_is_an_error():
    bucket = MemoryBucket()
    bucket.put("a", b"1")
    forbid(bucket, "a")
    made = source(bucket, container="c", layout="plain", queue={"name": "events"})
    made.__dict__["queue"] = announced("a")
    with pytest.raises(AccessError, match="403"):
        made.plan(None, PlainMemory(), Budget())
    made.__dict__.pop("queue")
    made.close()


def hour_blob(number):
    return LATE.replace("macAddress=00", f"macAddress={number:02d}")


class Blocks:
    """The block lists of a container, of which some are refused."""

    def __init__(self, bucket, refused):
        self.bucket, self.refused = bucket, refused

    def __call__(self, key):
        if key in self.refused:
            raise self.refused[key]
        info = self.bucket.stat(key)
        assert info is not None
        return BlockList(info.version, info.size, (("only", info.size),))


@pytest.mark.parametrize(
    ("error", "rejected"),
    [
        (AccessError("403 for this blob"), False),
        (RunError("409 InvalidBlobType", code="refused"), False),
        (RejectError("this blob is archived", code="archived"), True),
    ],
)
def test_one_refused_block_list_sets_one_blob_aside_and_the_others_are_read(error, rejected):
    """It is planned like the others, so that the engine sees the reason, and tries it later."""
    bucket = MemoryBucket()
    names = [hour_blob(i) for i in range(3)]
    for name in names:
        bucket.put(name, b"x" * 100)
    refused = {names[1]: error}
    bucket.blocks = Blocks(bucket, refused)
    made = source(bucket, container="insights-logs-flowlogflowevent")
    memory = PlainMemory()
    plan = made.plan(None, memory, Budget())
    assert [split.data["key"] for split in plan.splits] == names
    with pytest.raises(type(error), match=str(error)):
        made.open(plan.splits[1])
    left = {key: value for key, value in plan.remember.items() if names[1] not in key}
    if rejected:  # as the engine remembers what was rejected whole
        key = plan.splits[1].key
        left[key] = {**plan.remember[key], "rejected": True}
    memory.record(Plan((), plan.position, left))
    again = made.plan(plan.position, memory, Budget())
    if rejected:
        assert again is None
        bucket.put(names[1], b"y" * 100)  # moved to another tier, it has another version
        again = made.plan(plan.position, memory, Budget())
    assert [split.data["key"] for split in again.splits] == [names[1]]
    refused.clear()
    with pytest.raises(SplitChangedError, match="now it can be") as passed:
        made.open(plan.splits[1])
    assert "next run" in passed.value.hint
    again = made.plan(plan.position, memory, Budget())
    assert [(s.data["key"], s.data["start"], s.size) for s in again.splits] == [(names[1], 0, 100)]
    made.close()


def test_errors_that_may_pass_or_speak_of_the_container_stop_the_plan():
    bucket = MemoryBucket()
    bucket.put(hour_blob(1), b"x" * 100)
    for error in (RetryableError("503"), ConfigError("no such container")):
        bucket.blocks = Blocks(bucket, {hour_blob(1): error})
        made = source(bucket, container="insights-logs-flowlogflowevent")
        with pytest.raises(type(error)):
            made.plan(None, PlainMemory(), Budget())
        made.close()


def test_a_late_hour_that_may_not_be_looked_at_waits():
    bucket = MemoryBucket()
    bucket.put(LATE, b"1")
    forbid(bucket, LATE)
    made = source(bucket, container="insights-logs-flowlogflowevent")
    position = {"from": "2026-11-23T18:00:00+00:00", "late": [LATE]}
    plan = made.plan(position, PlainMemory(), Budget())
    assert plan.splits == ()
    assert plan.position["late"] == [LATE]
    assert "403" in plan.notes[0]
    made.close()
