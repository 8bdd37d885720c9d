"""An SQS queue: receiving, keeping messages from others while they are worked on, deleting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ktrans.api import Clock, KtransError
from ktrans.kit import log_events
from ktrans_aws.errors import aws_errors

_BATCH = 10
"""Messages a request: what SQS allows."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was received.

    Attributes:
        id: the same at each receipt.
        handle: of this receipt; what deleting takes.
        body: its text.
        received: when.
    """

    id: str
    handle: str
    body: str
    received: datetime


class Queue:
    """One queue.

    Args:
        client: of SQS.
        url: of the queue.
        visibility_timeout: how long others do not see a message that was received.
        threads: how many requests run at a time.
        clock: by which messages are received and kept.
    """

    def __init__(
        self, client: Any, url: str, visibility_timeout: int, threads: int, clock: Clock
    ) -> None:
        self._clock = clock
        self._client = client
        self._url = url
        self._visibility_secs = visibility_timeout
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sqs")
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def receive(self, wait_secs: int) -> list[Message]:
        """Receive some messages; waits for the first one, and keeps them from others.

        Returns:
            What there was; nothing if nothing came.
        """
        first = self._receive(_BATCH, wait_secs)
        if len(first) < _BATCH or self._threads == 1:
            return self._keep(first)
        more = self._pool.map(lambda _: self._receive(_BATCH, 0), range(self._threads))
        return self._keep([*first, *(message for some in more for message in some)])

    def keep(self, messages: Iterable[tuple[str, str]]) -> None:
        """Keep messages, by id and handle, from others until they are deleted or let go."""
        with self._lock:
            self._kept.update(messages)
            if self._keeper is None and self._kept:
                self._keeper = threading.Thread(target=self._extend, name="sqs-keep", daemon=True)
                self._keeper.start()

    def let_go(self, ids: Iterable[str]) -> None:
        """Stop keeping messages: others will see them again, in time."""
        with self._lock:
            for one in ids:
                self._kept.pop(one, None)

    def give_back(self, ids: Sequence[str]) -> None:
        """Let others see messages at once."""
        with self._lock:
            handles = [self._kept.pop(one) for one in ids if one in self._kept]
        self._change(handles, 0)

    def delete(self, messages: dict[str, str]) -> int:
        """Delete messages, by id and handle; returns how many the queue would not delete.

        A message that is deleted already, or whose receipt is too old, is none of our business any
        more: it comes again, and is known by then.
        """
        self.let_go(messages)
        refused = 0
        batches = list(_batches(list(messages.values())))
        for answer in self._pool.map(self._delete, batches):
            refused += len(answer.get("Failed", ()))
        return refused

    def close(self) -> None:
        """Stop keeping messages."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._keeper is not None:
            self._keeper.join()
        self._client.close()

    def _receive(self, count: int, wait_secs: int) -> list[Message]:
        with aws_errors(f"receive from {self._url}"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=wait_secs,
                VisibilityTimeout=self._visibility_secs,
            )
        now = self._clock.now()
        return [
            Message(item["MessageId"], item["ReceiptHandle"], item["Body"], now)
            for item in answer.get("Messages", ())
        ]

    def _keep(self, messages: list[Message]) -> list[Message]:
        self.keep((message.id, message.handle) for message in messages)
        return messages

    def _delete(self, handles: list[str]) -> Any:
        entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(handles)]
        with aws_errors(f"remove messages from {self._url}"):
            return self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def _extend(self) -> None:
        """Renew the time that messages are kept, well before it is over."""
        pause = self._visibility_secs / 3
        while not self._clock.wait(pause, self._closed, background=True):
            began = self._clock.monotonic()
            with self._lock:
                handles = list(self._kept.values())
            try:
                self._change(handles, self._visibility_secs)
            except KtransError as error:
                logging.getLogger("ktrans.aws").warning(
                    "messages are not kept: %s",
                    error,
                    extra={"event": log_events.MESSAGES_NOT_HELD},
                )
            pause = max(self._visibility_secs / 3 - (self._clock.monotonic() - began), 0.1)

    def _change(self, handles: list[str], secs: int) -> None:
        for batch in _batches(handles):
            entries = [
                {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": secs}
                for at, handle in enumerate(batch)
            ]
            with aws_errors(f"keep messages of {self._url}"):
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def _batches(items: list[str]) -> Iterable[list[str]]:
    return (items[at : at + _BATCH] for at in range(0, len(items), _BATCH))
