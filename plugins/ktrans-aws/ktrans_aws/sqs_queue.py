"""An SQS queue: receives, hides and deletes messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ktrans.api import Context
from ktrans.kit.objects.message_hold import MessageHold, QueueMessage
from ktrans_aws.errors import aws_errors

_BATCH = 10
"""Messages in a request, at most (SQS)."""
_THREADS = 4


class SqsQueue(MessageHold):
    """One queue.

    Args:
        hidden_secs: how long a message that was received is hidden from others.
    """

    def __init__(self, client: Any, url: str, hidden_secs: int, context: Context) -> None:
        super().__init__(url, hidden_secs, context)
        self._client = client
        self._url = url
        self._visibility_secs = hidden_secs
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sqs")

    def receive(self, wait_secs: int) -> list[QueueMessage]:
        """Receive and hold some messages; waits for the first one."""
        found = self._receive(wait_secs)
        if len(found) == _BATCH:
            more = self._pool.map(lambda _: self._receive(0), range(_THREADS))
            found = [*found, *(message for some in more for message in some)]
        self.hold({message.id: message.receipt for message in found})
        return found

    def give_back(self, ids: Sequence[str]) -> None:
        """Let others see messages at once."""
        self._change(self.let_go(ids), 0)

    def delete(self, receipts: Mapping[str, str]) -> int:
        """Delete messages, by id and receipt; returns how many the queue refused to delete.

        A message that is deleted already, or whose receipt is too old, comes again and is known
        then.
        """
        self.let_go(receipts)
        answers = self._pool.map(self._delete, _batches(list(receipts.values())))
        return sum(len(answer.get("Failed", ())) for answer in answers)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        super().close()
        self._client.close()

    def _receive(self, wait_secs: int) -> list[QueueMessage]:
        with aws_errors(f"receive from {self._url}"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_BATCH,
                WaitTimeSeconds=wait_secs,
                VisibilityTimeout=self._visibility_secs,
            )
        now = self._context.clock.now()
        return [
            QueueMessage(item["MessageId"], item["ReceiptHandle"], item["Body"], now)
            for item in answer.get("Messages", ())
        ]

    def _delete(self, receipts: list[str]) -> Any:
        entries = [{"Id": str(at), "ReceiptHandle": one} for at, one in enumerate(receipts)]
        with aws_errors(f"remove messages from {self._url}"):
            return self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def renew(self, receipts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Hide messages for longer; receipts stay as they are.

        Those that another process has deleted are not held any longer.
        """
        self.let_go(self._change(receipts, self._visibility_secs))
        yield from ()

    def _change(self, receipts: Mapping[str, str], secs: int) -> list[str]:
        """Hide messages, by id and receipt; return the ids of those that the queue does not know."""
        gone = []
        for batch in _batches(list(receipts)):
            entries = [
                {"Id": str(at), "ReceiptHandle": receipts[one], "VisibilityTimeout": secs}
                for at, one in enumerate(batch)
            ]
            with aws_errors(f"hide messages of {self._url}"):
                answer = self._client.change_message_visibility_batch(
                    QueueUrl=self._url, Entries=entries
                )
            failed = answer.get("Failed", ())
            gone += [batch[int(one["Id"])] for one in failed if one.get("SenderFault")]
        return gone


def _batches(items: list[str]) -> Iterator[list[str]]:
    return (items[at : at + _BATCH] for at in range(0, len(items), _BATCH))
