"""Sends the messages of a task in atomic batches, each with a mark, or one by one.

Source: NATS ADR-50, "JetStream Batch Publishing": messages of a batch are numbered from 1, the last
one has `Nats-Batch-Commit`, and then all are stored or none.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nats.errors import NoRespondersError

from ktrans.api import Context, KtransError, RunError
from ktrans.kit.buffered_sink import Delivery
from ktrans.kit.files.path_template import slug
from ktrans.kit.messages.encode import ROWS, unpack
from ktrans.kit.messages.send import Request
from ktrans_nats.client import Connection
from ktrans_nats.config import HEADER, SUBJECT, NatsSinkConfig
from ktrans_nats.errors import INCOMPLETE, answer_error
from ktrans_nats.stream import check_batches, check_subject, stream_config

_OVERHEAD_BYTES = 100
"""What the headers of a batch add to a message, about."""


@dataclass(slots=True)
class Outgoing:
    """A message that is ready to be sent, and the rows that it holds."""

    subject: str
    data: bytes
    headers: dict[str, str]
    rows: int

    @property
    def size(self) -> int:
        """Its size in a batch, about."""
        texts = sum(len(name) + len(value) for name, value in self.headers.items())
        return len(self.data) + len(self.subject) + texts + _OVERHEAD_BYTES


class TaskMessages:
    """The messages of one task, and how many of its rows have arrived.

    Batches are identified by the number of their first row, and their marks have the number of the
    row after the last. So a repeated delivery goes on after what is there, also if batches have
    another size now.
    """

    def __init__(self, config: NatsSinkConfig, context: Context, delivery: Delivery) -> None:
        self.config = config
        self.delivery = delivery
        self.first = 0
        """The number of the first row that has not arrived."""
        task = delivery.mark.rpartition("/")[2]
        self._mark = f"{config.marks}.{slug(context.pipeline)}.{slug(context.name)}.{task}"

    def mark(self, first: int) -> str:
        """Return the subject of the mark of the batch that begins with a row."""
        return f"{self._mark}.{first}"

    def messages(self) -> Iterator[tuple[int, Outgoing]]:
        """Return the messages from row `first` on, with the numbers of their first rows.

        Raises:
            RunError: none begins there.
        """
        number, begin = 0, self.first
        for batch in self.delivery.batches():
            rows = batch.column(ROWS).to_pylist()
            if number + sum(rows) <= begin:
                number += sum(rows)
                continue
            for count, (data, texts) in zip(rows, unpack(batch), strict=True):
                if number >= begin:
                    yield number, self._outgoing(data, texts, count)
                elif number + count > begin:
                    raise RunError(
                        f"row {begin} of a task is inside of a message, and those before it were sent",
                        code="batch_mismatch",
                        hint="put the options of the messages back for one run",
                    )
                number += count

    def batches(self) -> Iterator[tuple[int, list[Outgoing]]]:
        """Return the messages from row `first` on in batches, with the numbers of their first rows."""
        full = self.config.batch_messages - 1  # and the mark
        batch: list[Outgoing] = []
        begin = size = 0
        for number, message in self.messages():
            if batch and (len(batch) >= full or size + message.size > self.config.batch_size):
                yield begin, batch
                batch, size = [], 0
            if not batch:
                begin = number
            batch.append(message)
            size += message.size
        if batch:
            yield begin, batch

    def _outgoing(self, data: bytes, texts: dict[str, str], rows: int) -> Outgoing:
        subject = texts.pop(SUBJECT, self.config.subject)
        return Outgoing(subject, data, {**self.config.headers, **_headers(texts)}, rows)


async def send_batches(connection: Connection, task: TaskMessages) -> None:
    """Send the rows that are not there, in atomic batches.

    A server before NATS 2.12 would store the messages of a batch one by one, its mark first.

    Raises:
        RetryableError: it may succeed later.
        KtransError: anything else.
    """
    check_batches(await stream_config(connection, task.config.stream), task.config)
    while (end := await _marked(connection, task)) is not None:
        task.first = end
    for first, batch in task.batches():
        await _send(connection, task, first, batch)
        task.first = first + sum(message.rows for message in batch)


async def send_singly(
    connection: Connection, config: NatsSinkConfig, request: Request
) -> dict[int, KtransError]:
    """Publish messages one by one, each with an id; return why some were not accepted."""
    fixed = {**config.headers, "Nats-Expected-Stream": config.stream}
    failed: dict[int, KtransError] = {}
    subjects: list[str] = []

    async def publish(number: int, data: bytes, texts: dict[str, str]) -> None:
        subject = texts.pop(SUBJECT, config.subject)
        subjects.append(subject)
        headers = {**fixed, **_headers(texts), "Nats-Msg-Id": request.ids[number]}
        answer = await connection.request(subject, data, headers)
        if "error" in answer:
            failed[number] = answer_error(answer["error"], _what(connection, config))
        elif answer.get("stream") != config.stream:
            failed[number] = _strange(connection, subject)

    messages = enumerate(unpack(request.batch))
    try:
        await asyncio.gather(*(publish(number, *message) for number, message in messages))
    except NoRespondersError:
        await _diagnose(connection, config, subjects)
        raise
    return failed


async def _marked(connection: Connection, task: TaskMessages) -> int | None:
    """Return the row up to which the next batch is there; None if it is not."""
    mark = task.mark(task.first)
    name = f"STREAM.MSG.GET.{task.config.stream}"
    found = await connection.api(name, f"the mark {mark}", last_by_subj=mark)
    if found is None:
        return None
    end = base64.b64decode(found["message"].get("data", ""))
    if not end.isdigit() or int(end) <= task.first:
        raise RunError(f"the message at {mark} is not a mark of ktrans", code="batch_mismatch")
    return int(end)


async def _send(
    connection: Connection, task: TaskMessages, first: int, batch: list[Outgoing]
) -> None:
    """Send an atomic batch."""
    end = first + sum(message.rows for message in batch)
    name = secrets.token_hex(16)
    opening = {
        "Nats-Expected-Stream": task.config.stream,
        "Nats-Expected-Last-Subject-Sequence": "0",
    }
    if task.config.mark_ttl is not None:
        opening["Nats-TTL"] = f"{task.config.mark_ttl}s"

    def headers(number: int) -> dict[str, str]:
        return {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(number)}

    subjects = [task.mark(first), *(message.subject for message in batch)]
    try:
        answer = await connection.request(subjects[0], b"%d" % end, {**opening, **headers(1)})
        if "error" not in answer:
            for number, message in enumerate(batch[:-1], 2):
                each = {**message.headers, **headers(number)}
                await connection.nats.publish(message.subject, message.data, headers=each)
            last = {**batch[-1].headers, **headers(len(batch) + 1), "Nats-Batch-Commit": "1"}
            answer = await connection.request(batch[-1].subject, batch[-1].data, last)
    except NoRespondersError:
        await _diagnose(connection, task.config, subjects)
        raise
    if "error" in answer:
        connection.check()
        if answer["error"].get("err_code") == INCOMPLETE:
            await _diagnose(connection, task.config, subjects)
        raise answer_error(answer["error"], _what(connection, task.config))
    if answer.get("stream") != task.config.stream:
        await _diagnose(connection, task.config, subjects)
        raise _strange(connection, batch[-1].subject)


async def _diagnose(
    connection: Connection, config: NatsSinkConfig, subjects: Sequence[str]
) -> None:
    """Raise if the stream does not have all subjects: such messages get lost."""
    stream = await stream_config(connection, config.stream)
    for subject in dict.fromkeys(subjects):
        check_subject(stream, subject, "subject")


def _headers(texts: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix(HEADER): text for name, text in texts.items()}


def _strange(connection: Connection, subject: str) -> KtransError:
    """Make the error for an answer that does not say that the stream has the message."""
    return RunError(
        f"{connection.where}: the answer to a message of {subject} is not that of JetStream",
        code="refused",
        hint="another client answers to messages of this subject: end it, or change `subject`",
    )


def _what(connection: Connection, config: NatsSinkConfig) -> str:
    return f"{connection.where}: rows for stream {config.stream}"
