"""A Kinesis data stream: its shards, and reading them within the service's limits.

Source: Amazon Kinesis API Reference, GetRecords (five calls a second and shard, 10 MiB a call, iterators
that expire after five minutes), GetShardIterator, ListShards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ktrans.api import Context, InterruptedRunError, RetryableError
from ktrans.kit.retry import Retry, interruptible_sleep, with_retries
from ktrans_aws.errors import aws_errors, code_of

R = TypeVar("R")
_PACE_SECS = 0.2
_RETRY = Retry(None, total_secs=120, first_wait_secs=0.2, max_wait_secs=5)


def named(stream: str) -> dict[str, str]:
    """Return the part of a request that names a stream, by its name or its ARN."""
    return {"StreamARN": stream} if stream.startswith("arn:") else {"StreamName": stream}


class IteratorExpiredError(Exception):
    """A shard iterator is older than five minutes."""


class SequenceGoneError(Exception):
    """A shard has no record of this sequence number any more, or has expired itself."""


def _too_early(said: str) -> Exception:
    """Make the error for a start that the service's clock has not reached."""
    hint = "set this machine's clock (NTP), and `start` to a time that has passed"
    return RetryableError(f"Kinesis does not know this time yet: {said}", code="busy", hint=hint)


_MEANINGS: dict[tuple[str, str], Callable[[str], Exception]] = {
    ("ExpiredIteratorException", "ShardIterator"): IteratorExpiredError,
    ("InvalidArgumentException", "StartingSequenceNumber"): SequenceGoneError,
    ("ResourceNotFoundException", "StartingSequenceNumber"): SequenceGoneError,
    ("InvalidArgumentException", "Timestamp"): _too_early,
}
"""What a code means for a request that has a parameter."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a shard.

    Attributes:
        sequence: its sequence number.
        arrived: when it arrived, about, in milliseconds since 1970.
        data: its bytes.
    """

    sequence: str
    arrived: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The next records of a shard.

    Attributes:
        records: in their order.
        iterator: what comes next; None if the shard is closed and was read to its end.
        behind: how far the answer is behind the newest record, in milliseconds.
    """

    records: list[Record]
    iterator: str | None
    behind: int


class KinesisStream:
    """Calls the service; throttled and failing calls are repeated. Thread-safe.

    Args:
        client: of kinesis.
        stream: its name or ARN.
        context: of the component.
    """

    def __init__(self, client: Any, stream: str, context: Context) -> None:
        self._client = client
        self._named = named(stream)
        self._what = f"stream {stream}"
        self._context = context
        self._lock = threading.Lock()
        self._called: dict[str, float] = {}

    def summary(self, *, checking: bool = False) -> tuple[int, int]:
        """Return when the stream was created, in milliseconds since 1970, and its retention in seconds."""
        with aws_errors(f"look at the {self._what}", checking=checking):
            answer = self._client.describe_stream_summary(**self._named)
        found = answer["StreamDescriptionSummary"]
        created = found.get("StreamCreationTimestamp")
        return (
            int(created.timestamp() * 1000) if created else 0,
            found["RetentionPeriodHours"] * 3600,
        )

    def shards(self) -> dict[str, tuple[str, ...]]:
        """Return the parents of each shard that can be read, by shard."""
        found: dict[str, tuple[str, ...]] = {}
        request: dict[str, Any] = dict(self._named)
        while True:
            answer = self._repeated(
                f"list the shards of the {self._what}", self._client.list_shards, request
            )
            for shard in answer["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                found[shard["ShardId"]] = tuple(filter(None, parents))
            if not answer.get("NextToken"):
                return found
            request = {"NextToken": answer["NextToken"]}

    def iterator(self, shard: str, **where: Any) -> str:
        """Return an iterator; `where` has its type, and a sequence number or a time.

        Raises:
            SequenceGoneError: the shard has no such record any more.
        """
        answer = self._repeated(
            f"read {shard} of the {self._what}",
            self._client.get_shard_iterator,
            {**self._named, "ShardId": shard, **where},
        )
        return str(answer["ShardIterator"])

    def get(self, shard: str, iterator: str) -> Answer:
        """Return the next records of a shard.

        Raises:
            IteratorExpiredError: a new iterator is needed.
        """
        self._pace(shard)
        answer = self._repeated(
            f"read {shard} of the {self._what}",
            self._client.get_records,
            {"ShardIterator": iterator},
        )
        records = [
            Record(
                one["SequenceNumber"],
                int(one["ApproximateArrivalTimestamp"].timestamp() * 1000),
                one["Data"],
            )
            for one in answer["Records"]
        ]
        return Answer(
            records, answer.get("NextShardIterator"), answer.get("MillisBehindLatest") or 0
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _pace(self, shard: str) -> None:
        """Wait until a shard may be read again."""
        clock = self._context.clock
        with self._lock:
            now = clock.monotonic()
            then = max(now, self._called.get(shard, now - _PACE_SECS) + _PACE_SECS)
            self._called[shard] = then
        if then > now:
            clock.wait(then - now)

    def _repeated(self, what: str, call: Callable[..., R], request: dict[str, Any]) -> R:
        def attempt() -> R:
            with aws_errors(what):
                try:
                    return call(**request)
                except Exception as error:
                    code = code_of(error)
                    meanings = [
                        _MEANINGS[code, name] for name in request if (code, name) in _MEANINGS
                    ]
                    if not meanings:
                        raise
                    meant = meanings[0](str(error))
            raise meant

        context = self._context
        return with_retries(
            attempt,
            _RETRY,
            sleep=interruptible_sleep(lambda: context.stopping() or context.abandoned()),
            before_wait=self._stop_if_asked,
            health=context.health,
        )

    def _stop_if_asked(self, _: object) -> None:
        if self._context.stopping() or self._context.abandoned():
            raise InterruptedRunError(f"the run was stopped while the {self._what} did not answer")
