"""The `sqs` source: objects of S3 that notifications in a queue announce."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from ktrans.api import (
    Budget,
    Dataset,
    Memory,
    Payload,
    Plan,
    RejectError,
    Source,
    Split,
    UsageError,
)
from ktrans.kit import log_events
from ktrans.kit.notifications import refuse_message
from ktrans.kit.objects.expiry import Expiry
from ktrans.kit.objects.message_hold import QueueMessage
from ktrans.kit.objects.once import once
from ktrans.kit.objects.options import ObjectReadConfig
from ktrans.kit.objects.reader import PlannedObjects, Reader
from ktrans.kit.units import Duration, WholeSeconds
from ktrans_aws.client import ENDPOINT, S3Access, make_client
from ktrans_aws.errors import aws_errors
from ktrans_aws.s3_store import NamedObjects
from ktrans_aws.sqs_plan import SqsPlan
from ktrans_aws.sqs_queue import SqsQueue

_LOOK_SECS = 5


class SqsSourceConfig(S3Access, ObjectReadConfig, type="sqs"):
    """Objects of S3 buckets, announced by notifications in an SQS queue.

    Notifications may come straight from S3, by way of an SNS topic (raw or not) or from
    EventBridge, also as calls that CloudTrail recorded. A message is deleted once everything that it
    announces is recorded; one that is not understood becomes a reject. Events that bring no data, and objects
    that `include` and `exclude` leave out, are named in the receipt, and their messages deleted at once.
    """

    queue_url: str = Field(
        min_length=1,
        description="URL of the queue.",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/flow-logs"],
    )
    s3_endpoint_url: str | None = Field(
        None,
        pattern=ENDPOINT,
        description="Address of S3, if it is not AWS itself; `endpoint_url` is that of the queue.",
        examples=["https://minio.example.net:9000"],
    )
    wait: WholeSeconds = Field(
        20,
        ge=0,
        le=20,
        description="How long to wait for a message if the queue is empty (long polling).",
        examples=[10],
    )
    gather_time: Duration = Field(
        5,
        ge=0,
        description="How long to gather messages for an epoch once there are some.",
        examples=[30],
    )
    visibility_timeout: WholeSeconds = Field(
        300,
        ge=3,
        le=43_200,
        description="How long a message that was received is hidden from others. It is renewed"
        " while the message is processed, so it only matters after a crash.",
        examples=[120],
    )
    remember_for: Duration = Field(
        345_600,
        gt=0,
        description="How long an object that was read is remembered, so that a message that comes"
        " again does no harm. As long as the queue keeps messages, or longer.",
        examples=[1_209_600],
    )


class SqsSource(Source[SqsSourceConfig]):
    """Turns messages into splits, and deletes them once those are recorded."""

    reads = "anywhere"

    _memory: Memory | None = None
    _planned: tuple[Split, ...] = ()

    @cached_property
    def _held(self) -> dict[str, QueueMessage]:
        """Messages that were received and are not dealt with yet, by id."""
        return {}

    @once
    def queue(self) -> SqsQueue:
        config = self.config
        client = make_client(config, "sqs", connections=10)
        return SqsQueue(client, config.queue_url, config.visibility_timeout, self.context)

    @once
    def _store(self) -> NamedObjects:
        config = self.config
        client = make_client(
            config, "s3", connections=config.parallel_reads, endpoint_url=config.s3_endpoint_url
        )
        return NamedObjects(client, config.payer)

    @once
    def objects(self) -> PlannedObjects:
        """Opens objects of any bucket; keys are `bucket/key`."""
        return PlannedObjects(Reader(self._store, self.config, self.context))

    def datasets(self) -> list[Dataset]:
        """Return the queue; its messages alone know the buckets."""
        url = urlsplit(self.config.queue_url)
        return [Dataset(f"sqs://{url.hostname}", url.path.strip("/"))]

    def check(self) -> None:
        client = make_client(self.config, "sqs")
        with aws_errors(f"look at {self.config.queue_url}", checking=True):
            client.get_queue_attributes(QueueUrl=self.config.queue_url, AttributeNames=["QueueArn"])
        client.close()

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Receive messages until the queue is empty, the budget is used up or time is over."""
        expiry = Expiry((position or {}).get("queue"), memory)
        expiry.quarantined()  # their messages come again by themselves
        found = SqsPlan(self.config.queue_url, self.config, memory, budget)
        for message in self._held.values():
            if not found.full:
                found.add(message)
        self._receive(found)
        self._acknowledge(found.done)
        notes = found.notes()
        found.skipped.log(self.context)
        if not found.splits:
            return Plan((), position, notes=notes) if notes else None
        latest = found.latest
        expiry.expire(latest - timedelta(seconds=self.config.remember_for))
        expiry.add({key: {} for key in found.splits}, latest)
        self._memory, self._planned = memory, found.with_messages()
        known = [s for s in self._planned if s.data.get("size") and s.data["version"]]
        self.objects.expect(known)
        return Plan(self._planned, {"queue": expiry.to_json()}, expiry.remember, notes=notes)

    def open(self, split: Split) -> Payload:
        """Open an object; from now on its messages are hidden from others.

        Raises:
            RejectError: the message is no notification, or the object is gone.
        """
        self.queue.hold({one["id"]: one["handle"] for one in split.data["messages"]})
        refuse_message(split)
        if split.size is None or not split.data["version"]:
            # Some stores leave out the ETag, and CloudTrail the size: what is there now is read.
            info = self._store.look(split.data["key"], split.data["version"])
            if info is None:
                raise RejectError("removed after the message was sent", code="object_gone")
            version = split.data["version"] or info.version
            data = {**split.data, "size": info.size, "version": version}
            split = replace(split, data=data)
        return self.objects.open(split)

    def commit(self, plan: Plan) -> None:
        """Delete the messages whose objects are all recorded, as rows or as rejects."""
        recorded = {split.key: split for split in plan.splits}
        left = {s.key: s for s in self._planned if s.key not in recorded}
        if self._memory is not None:
            recorded |= {key: left[key] for key in self._memory.recall(list(left))}
        dealt_with = {one["id"] for s in self._planned for one in s.data["messages"]}
        self._planned = ()
        handles: dict[str, str] = {}
        missing: dict[str, int] = {}
        for split in recorded.values():
            # A message that was received twice is still one message; its newest handle counts.
            for one in {one["id"]: one for one in split.data["messages"]}.values():
                handles[one["id"]] = one["handle"]
                missing[one["id"]] = missing.get(one["id"], one["of"]) - 1
        for known in dealt_with:
            self._held.pop(known, None)
        self.queue.let_go([*dealt_with, *handles])
        done = {known: handle for known, handle in handles.items() if missing[known] <= 0}
        if self.queue.delete(done):
            self.context.log.info(
                "some messages could not be deleted; they come again",
                extra={"event": log_events.MESSAGES_NOT_DELETED},
            )

    def check_rewind(self) -> None:
        """Raise an error: messages that were read are deleted."""
        raise UsageError(
            "the sqs source cannot go back: the messages that it has read are deleted",
            code="cannot_rewind",
            hint="read the bucket itself with the s3 source, from a time on by "
            "`ktrans run --from TIME`",
        )

    def close(self) -> None:
        """Release messages that are part of no epoch, and connections."""
        if "queue" in self.__dict__:
            if not self.context.ephemeral:
                for split in self._planned:  # the next run finds their epoch, and goes on with it
                    for one in split.data["messages"]:
                        self._held.pop(one["id"], None)
            self.queue.give_back(list(self._held))
            self.__dict__.pop("queue").close()
        for name in ("objects", "_store"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def _receive(self, found: SqsPlan) -> None:
        """Take messages until there are no more, or there is no room or time for more."""
        config, waited, late = self.config, 0, 0.0
        while not found.full and not self.context.stopping():
            if late and self.context.clock.monotonic() >= late:
                return
            # A stop must not have to wait for a long look at an empty queue.
            wait = 0 if found.splits else min(config.wait - waited, _LOOK_SECS)
            received = self.queue.receive(wait)
            waited += wait
            if not received and (found.splits or waited >= config.wait):
                return
            if received:
                late = late or self.context.clock.monotonic() + config.gather_time
            for message in received:
                self._held[message.id] = message
                if not found.full:  # what has no room any more is for the next epoch
                    found.add(message)

    def _acknowledge(self, messages: list[QueueMessage]) -> None:
        """Delete messages that announce nothing new."""
        for message in messages:
            self._held.pop(message.id, None)
        handles = {message.id: message.receipt for message in messages}
        if self.context.ephemeral:
            self.queue.hold(handles)
            self.queue.give_back(list(handles))
        elif handles:
            self.queue.delete(handles)
