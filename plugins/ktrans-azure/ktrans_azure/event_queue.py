"""A storage queue: messages are received, hidden while they are processed, and deleted at the end.

Source: Microsoft Learn, "Queue service REST API": Get Messages, Peek Messages, Update Message,
Delete Message. Each update gives a new pop receipt, and only the newest one deletes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from ktrans.api import Context, KtransError, SplitChangedError
from ktrans.kit.objects.message_hold import MessageHold, QueueMessage
from ktrans_azure.account import Account
from ktrans_azure.blob_source_config import EventQueueConfig
from ktrans_azure.errors import code_of

_PAGE = 32
"""Messages in a request, at most (Get Messages)."""
_THREADS = 8


class EventQueue(MessageHold):
    """Receives and deletes messages; those that are held stay hidden.

    Args:
        context: if `ephemeral`, messages are only peeked at.
    """

    def __init__(self, account: Account, config: EventQueueConfig, context: Context) -> None:
        self.title = f"the queue {config.name}"
        super().__init__(self.title, config.visibility_timeout, context)
        self._account = account
        self._config = config
        self._messages: dict[str, QueueMessage] = {}

    @cached_property
    def _client(self) -> Any:
        return self._account.queue(self._config.name, self._config.endpoint)

    @property
    def uri(self) -> str:
        """The queue's address, without any signature."""
        return str(self._client.url).split("?", 1)[0]

    def check(self) -> None:
        self._call(lambda: self._client.peek_messages(1))

    def take(self) -> list[QueueMessage]:
        """Return the messages that are held, and more from the queue as long as there is room."""
        if self._context.ephemeral:
            found = self._call(lambda: self._client.peek_messages(_PAGE))
            return [_message(item) for item in found]
        while len(self._messages) < self._config.max_messages and not self._context.stopping():
            room = min(_PAGE, self._config.max_messages - len(self._messages))
            page = [_message(item) for item in self._call(partial(self._receive, room))]
            self._messages.update((message.id, message) for message in page)
            self.hold({message.id: message.receipt for message in page})
            if not page:
                break
        receipts = self.receipts()
        return [replace(one, receipt=receipts[one.id]) for one in self._messages.values()]

    def delete(self, receipts: Mapping[str, str]) -> None:
        """Delete messages, by id and receipt; one that has reappeared since is left as it is.

        The receipts of messages that are held are newer than those given.
        """
        if self._context.ephemeral or not receipts:
            return
        for one in receipts:
            self._messages.pop(one, None)
        newest = {**receipts, **self.let_go(receipts)}
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="delete") as pool:
            for _ in pool.map(self._delete, newest, newest.values()):
                pass

    def close(self) -> None:
        """Release connections: messages that are held reappear when their time is over."""
        super().close()
        self._messages.clear()
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

    def renew(self, receipts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Hide messages for longer; yields their new receipts."""
        failed: KtransError | None = None
        secs = self._config.visibility_timeout
        for name, receipt in receipts.items():
            try:
                renewed = self._call(
                    partial(self._client.update_message, name, receipt, visibility_timeout=secs)
                )
            except SplitChangedError:
                continue  # deleted meanwhile
            except KtransError as error:
                failed = error
                continue
            yield name, renewed.pop_receipt
        if failed is not None:
            raise failed

    def _call(self, work: Callable[[], Any]) -> Any:
        return self._account.call(self.title, work, parent=self.title)


def _message(item: Any) -> QueueMessage:
    return QueueMessage(item.id, item.pop_receipt or "", item.content, item.inserted_on)
