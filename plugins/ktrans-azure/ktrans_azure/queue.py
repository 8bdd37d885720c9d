"""A storage queue: messages are taken, kept hidden while worked on, and deleted at the end.

Source: Microsoft Learn, "Queue service REST API": Get Messages, Peek Messages, Update Message,
Delete Message. Each update gives a new pop receipt, and only the newest one deletes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ktrans.api import Context, KtransError
from ktrans.kit import log_events
from ktrans_azure.account import Account
from ktrans_azure.config import EventQueueConfig
from ktrans_azure.errors import code_of

_PAGE = 32
"""The most that one request may take (Get Messages)."""
_THREADS = 8


@dataclass(slots=True)
class Message:
    """A message that is held.

    Attributes:
        id: of the message.
        receipt: what deleting it takes.
        text: its content.
        sent: when it was put into the queue, for messages.
    """

    id: str
    receipt: str
    text: str
    sent: str


class EventQueue:
    """Takes and deletes messages; those that are held are kept from reappearing.

    Args:
        account: whose queue it is.
        config: which one, and how long messages stay hidden.
        context: in a look that leaves no trace (`ephemeral`), messages are only peeked at.
    """

    def __init__(self, account: Account, config: EventQueueConfig, context: Context) -> None:
        self._account = account
        self._config = config
        self._context = context
        self._held: dict[str, Message] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    @cached_property
    def _client(self) -> Any:
        return self._account.queue(self._config.name, self._config.endpoint)

    @property
    def uri(self) -> str:
        """Return the queue's address, without any signature."""
        return str(self._client.url).split("?", 1)[0]

    @property
    def title(self) -> str:
        """Say which queue this is."""
        return f"the queue {self._config.name}"

    def check(self) -> None:
        """Check whether the queue is there and may be read."""
        self._call(lambda: self._client.peek_messages(1))

    def take(self) -> list[Message]:
        """Return the messages that are held, and more from the queue as long as there is room."""
        if self._context.ephemeral:
            found = self._call(lambda: self._client.peek_messages(_PAGE))
            return [_message(item) for item in found]
        while len(self._held) < self._config.max_messages and not self._context.stopping():
            room = min(_PAGE, self._config.max_messages - len(self._held))
            page = self._call(lambda room=room: self._receive(room))
            with self._lock:
                self._held.update((item.id, _message(item)) for item in page)
            if not page:
                break
        if self._held and self._renewer is None:
            self._renewer = threading.Thread(target=self._renew, name="renew", daemon=True)
            self._renewer.start()
        with self._lock:
            return list(self._held.values())

    def delete(self, receipts: Mapping[str, str] | Iterable[Message]) -> None:
        """Delete messages; one that has reappeared since is left to whoever gets it next.

        Args:
            receipts: held messages, or pop receipts by id, of which those of held ones are newer.
        """
        if not isinstance(receipts, Mapping):
            receipts = {message.id: message.receipt for message in receipts}
        if self._context.ephemeral or not receipts:
            return
        with self._lock:
            held = {name: self._held.pop(name, None) for name in receipts}
        pairs = [
            (name, message.receipt if message else receipts[name]) for name, message in held.items()
        ]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="delete") as pool:
            for _ in pool.map(lambda pair: self._delete(*pair), pairs):
                pass

    def close(self) -> None:
        """Let go: what is held reappears in the queue once its time is over."""
        self._over.set()
        if self._renewer is not None:
            self._renewer.join()
            self._renewer = None
        self._held.clear()
        self._account.close()

    def _receive(self, room: int) -> list[Any]:
        pages = self._client.receive_messages(
            messages_per_page=room,
            max_messages=room,
            visibility_timeout=self._config.visibility_timeout,
        )
        return list(pages)

    def _delete(self, name: str, receipt: str) -> None:
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        def delete() -> None:
            try:
                self._client.delete_message(name, receipt)
            except ResourceNotFoundError:
                return
            except HttpResponseError as error:
                if code_of(error) != "PopReceiptMismatch":
                    raise

        self._call(delete)

    def _renew(self) -> None:
        """Hide what is held for another while, again and again; runs in a thread of its own."""
        told = False
        clock, pause = self._context.clock, self._config.visibility_timeout / 3
        while not clock.wait(pause, self._over, background=True):
            with self._lock:
                held = list(self._held.values())
            for message in held:
                if self._over.is_set():
                    return
                try:
                    self._hide(message)
                except KtransError as error:
                    # It comes back, and is then known as one about what was read already.
                    if not told:
                        self._context.log.warning(
                            "%s: messages are not kept hidden: %s",
                            self.title,
                            error,
                            extra={"event": log_events.MESSAGES_NOT_HELD},
                        )
                    told = True

    def _hide(self, message: Message) -> None:
        with self._lock:
            if message.id not in self._held:
                return
        renewed = self._call(
            lambda: self._client.update_message(
                message.id, message.receipt, visibility_timeout=self._config.visibility_timeout
            )
        )
        message.receipt = renewed.pop_receipt

    def _call(self, work: Any) -> Any:
        return self._account.call(self.title, work, parent=self.title)


def _message(item: Any) -> Message:
    return Message(item.id, item.pop_receipt or "", item.content, str(item.inserted_on or ""))
