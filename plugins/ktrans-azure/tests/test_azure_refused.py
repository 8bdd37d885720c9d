"""A blob that may not be looked at waits, and keeps no other blob from being read."""

import json
from types import SimpleNamespace

import pytest
from ktrans_azure._queue import Message
from ktrans_azure.config import AzureBlobSourceConfig
from ktrans_azure.source import build

from ktrans.api import AccessError, Budget, Context
from ktrans.testing.contracts.sources import PlainMemory
from ktrans.testing.objects import MemoryBucket

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
    """Give a queue whose messages tell of blobs, and come again until they are deleted."""
    held = []
    for name in names:
        event = {
            "eventType": "Microsoft.Storage.BlobCreated",
            "subject": f"/blobServices/default/containers/c/blobs/{name}",
        }
        held.append(Message(name, "receipt", json.dumps(event), ""))
    queue = SimpleNamespace(uri="queue", take=lambda: list(held), close=lambda: None)
    queue.delete = lambda gone: [held.remove(message) for message in list(gone)]
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
    assert "mem://bucket/secret" in plan.notes[0]
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
