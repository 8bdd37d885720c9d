"""The producer of a task: sends records in a transaction.

librdkafka's transactional API has three kinds of errors (its INTRODUCTION.md, "Transactional
producer"): retriable (repeat the call), abortable (abort the transaction) and fatal (the instance
cannot be used any more).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from functools import partial
from itertools import islice, repeat
from operator import length_hint
from typing import Any, Literal

from ktrans.api import Context, InterruptedRunError, KtransError, RetryableError, RunError
from ktrans_kafka.bounded import HungError, bounded
from ktrans_kafka.client import ConnectionErrors, connection, kafka
from ktrans_kafka.encode import Records
from ktrans_kafka.errors import is_fenced, kafka_error, may_pass, name_of, translate
from ktrans_kafka.sink_config import KafkaSinkConfig

Outcome = Literal["committed", "aborted", "unknown", "fenced"]

CHUNK = 10_000
"""Records to hand over between two polls."""
_QUEUE_WAIT_SECS = 0.1
_CALL_SECS = 2.0
"""How long one call waits for the broker; between two calls it is checked whether to give up."""
_ABORT_SECS = 10.0
_HUNG_SECS = 10.0
"""A call that takes so much longer than it may has hung: the producer is given up."""
_OUTAGE_SECS = 5.0
"""Records that wait for so long without one being acknowledged are an outage."""
_TOPIC_WAIT_SECS = 10.0
_CONSEQUENCES = ("_PURGE_QUEUE", "_PURGE_INFLIGHT", "_STATE", "_FATAL", "_INCONSISTENT")


class TaskProducer:
    """A producer for one task at a time. Used by one thread at a time.

    Attributes:
        marks: the last epoch known to be committed, by group of the mark.
        state: "idle", "open" (a transaction accepts records) or "sealed" (it waits for its commit).
    """

    def __init__(
        self, config: KafkaSinkConfig, context: Context, transactional_id: str | None
    ) -> None:
        self._config = config
        self._context = context
        self._errors = ConnectionErrors()
        self._failed: Any = None
        self._failures = 0
        self._began = 0.0
        self._hung = False
        self._waiting, self._moved = -1, 0.0
        self._ready = transactional_id is None
        self._topics: set[str] = set()
        self.marks: dict[str, int] = {}
        self.state: Literal["idle", "open", "sealed"] = "idle"
        settings = _settings(config, context)
        settings |= {"on_delivery": self._undelivered, "error_cb": self._errors}
        if transactional_id is not None:
            settings["transactional.id"] = transactional_id
            settings["transaction.timeout.ms"] = config.transaction_timeout * 1000
        try:
            self._producer = kafka.Producer(settings)
        except kafka.KafkaException as error:
            raise translate(error, "kafka: the options of librdkafka") from error

    def _undelivered(self, error: Any, message: Any) -> None:  # noqa: ARG002  the client's signature
        self._failures += 1
        if self._failed is None or name_of(self._failed).startswith("_PURGE"):
            self._failed = error

    # -- transactions -------------------------------------------------------------------------

    def recover(self) -> None:
        """Have the broker end what an earlier user of the transactional id left open; once."""
        if not self._ready:
            self._call(
                "init_transactions",
                "kafka: claiming the transactional id",
                self._config.connect_timeout,
            )
            self._ready = True

    def begin(self) -> None:
        self.recover()
        self._failed, self._failures = None, 0
        self._call("begin_transaction", "kafka: beginning a transaction", 0)
        self._began = time.monotonic()
        self.state = "open"

    def seal(self, mark: Any, metadata: Any) -> None:
        """Wait until all records are in the log, and add the mark to the open transaction."""
        self.drain()
        self._call(
            "send_offsets_to_transaction",
            "kafka: adding the epoch's mark to the transaction",
            self._config.delivery_timeout,
            [mark],
            metadata,
        )
        self.state = "sealed"

    def commit(self) -> Outcome:
        """Commit the transaction; retry within the delivery timeout.

        Returns:
            With "unknown" and "fenced", only the mark shows whether it was committed.

        Raises:
            RetryableError: the broker did not answer in time; the call may be repeated.
        """
        deadline = time.monotonic() + self._config.delivery_timeout
        while True:
            try:
                self._wait_in("commit_transaction", _CALL_SECS)
            except HungError:
                return "unknown"
            except kafka.KafkaException as error:
                inner = kafka_error(error)
                if inner.retriable():
                    if time.monotonic() < deadline:
                        self._wait_on(error, "kafka: committing")
                        continue
                    raise translate(error, "kafka: committing") from error
                if is_fenced(inner):
                    return "unknown" if self._outlived() else "fenced"
                if inner.txn_requires_abort():
                    self.abort()
                    return "aborted"
                return "unknown"
            self.state = "idle"
            self._works()
            return "committed"

    def abort(self) -> bool:
        """Abort the transaction, if there is one; return whether the producer remains usable."""
        if self.state == "idle":
            return True
        self.state = "idle"
        try:
            self._wait_in("abort_transaction", self._abort_secs)
        except (kafka.KafkaException, HungError):
            return False
        return True

    def _wait_in(self, name: str, secs: float, *arguments: Any) -> None:
        """Call a method that waits for the broker.

        Raises:
            HungError: it does not return, or an earlier one did not: the client is of no more use.
        """
        if self._hung:
            raise HungError
        call = partial(getattr(self._producer, name), *arguments, secs)
        try:
            bounded(call, secs + _HUNG_SECS, self._context.abandoned)
        except HungError:
            self._hung = True
            raise

    @property
    def _abort_secs(self) -> float:
        """How long to wait for an abort; the broker does it by itself if need be."""
        return _CALL_SECS if self._context.abandoned() else _ABORT_SECS

    def _outlived(self) -> bool:
        return time.monotonic() - self._began > 0.9 * self._config.transaction_timeout

    # -- records ------------------------------------------------------------------------------

    def send(self, records: Records) -> None:
        """Send records; waits while the queue is full."""
        self._require_topic(records.topic)
        nothing, any_partition, now = repeat(None), repeat(-1), repeat(0)
        others: list[Any] = [records.keys or nothing, any_partition, nothing, nothing]
        others += [records.timestamps or now, records.headers or nothing]
        columns: list[Any] = [iter(column) for column in others]
        done, count = 0, len(records.values)
        while done < count:
            values = records.values[done : done + CHUNK]
            left = iter(values)
            try:
                # A loop in C. When the queue is full, the list's iterator shows how far it got.
                deque(map(self._producer.produce, repeat(records.topic), left, *columns), maxlen=0)
            except BufferError:
                done += len(values) - length_hint(left) - 1
                columns = [islice(column, done, None) for column in others]
                self._wait_for_queue("kafka: writing")
            except kafka.KafkaException as error:
                self._poll(0)  # may report the cause
                raise self._explain(error, f"kafka: writing to {records.topic}") from error
            else:
                done += len(values)
                self._poll(0)

    def drain(self) -> None:
        """Wait until all records are acknowledged."""
        # Not `flush`: in confluent-kafka 2.16 it loses the exception of a fatal error.
        while len(self._producer):
            self._wait_for_queue("kafka: waiting for acknowledgements")
        self._poll(0)
        self._works()

    def _wait_for_queue(self, doing: str) -> None:
        """Wait a little; report an outage if the queue has not become shorter for long."""
        self._poll(_QUEUE_WAIT_SECS)
        waiting, now = len(self._producer), time.monotonic()
        if waiting != self._waiting:
            self._waiting, self._moved = waiting, now
            return
        if now - self._moved > _OUTAGE_SECS:
            self._moved = now
            self._context.health.failed(
                self._errors.explain(kafka.KafkaError(kafka.KafkaError._TIMED_OUT), doing)  # noqa: SLF001  # its name
            )
        self._give_up_if_abandoned(doing)

    def _wait_on(self, error: Any, doing: str) -> None:
        """Report an error that may pass; raise if the run gives up."""
        self._context.health.failed(self._errors.explain(error, doing))
        self._give_up_if_abandoned(doing)

    def _give_up_if_abandoned(self, doing: str) -> None:
        if self._context.abandoned():
            raise InterruptedRunError(f"{doing}: stopped while the cluster did not answer")

    def _works(self) -> None:
        self._errors.clear()
        self._context.health.works()

    def _poll(self, secs: float) -> None:
        """Poll the client; raise if a record was not delivered."""
        try:
            self._producer.poll(secs)
        except kafka.KafkaException as error:
            raise self._explain(error, "kafka: writing") from error
        if self._failed is not None:
            raise self._explain(self._failed, "kafka: writing")

    def _require_topic(self, topic: str) -> None:
        """Check once that a topic exists; the broker may create it."""
        if topic in self._topics:
            return
        deadline = time.monotonic() + _TOPIC_WAIT_SECS
        answer_by = time.monotonic() + self._config.connect_timeout
        while True:
            try:
                metadata = self._producer.list_topics(topic, _CALL_SECS)
            except kafka.KafkaException as error:
                if may_pass(kafka_error(error)) and time.monotonic() < answer_by:
                    self._wait_on(error, "kafka: looking up the topic")
                    continue
                raise self._explain(error, "kafka: looking up the topic") from error
            wrong = metadata.topics[topic].error
            if wrong is None:
                break
            coming = name_of(wrong) == "UNKNOWN_TOPIC_OR_PART" or may_pass(wrong)
            if not coming or time.monotonic() > deadline:
                raise self._explain(wrong, f"kafka: topic {topic}")
            self._poll(_QUEUE_WAIT_SECS)
        self._topics.add(topic)

    # -- errors -------------------------------------------------------------------------------

    def _call(self, name: str, doing: str, secs: float, *arguments: Any) -> None:
        """Call a method of the transactional API; repeat it while the error is retriable."""
        deadline = time.monotonic() + secs
        while True:
            wait = max(0.1, min(_CALL_SECS, deadline - time.monotonic()))
            try:
                if secs:
                    self._wait_in(name, wait, *arguments)
                else:
                    getattr(self._producer, name)(*arguments)
            except HungError:
                self._give_up_if_abandoned(doing)
                raise RetryableError(f"{doing}: the client does not return") from None
            except kafka.KafkaException as error:
                if kafka_error(error).retriable() and time.monotonic() < deadline:
                    self._wait_on(error, doing)
                    continue
                raise self._explain(error, doing) from error
            if secs:
                self._works()
            return

    def _explain(self, error: Any, doing: str) -> KtransError:
        error = self._cause(error)
        if is_fenced(error) and self.state != "idle" and self._outlived():
            secs = self._config.transaction_timeout
            return RunError(
                f"{doing}: the broker aborted the transaction, which was open for more than"
                f" {secs} s",
                code="kafka_transaction_timeout",
                hint="raise transaction_timeout (and transaction.max.timeout.ms of the"
                " brokers), or make epochs smaller by engine.epoch_size",
            )
        made = translate(error, doing)
        if name_of(error) == "MSG_SIZE_TOO_LARGE":
            made.hint = "set max_record_size to no more than the topic's max.message.bytes"
        if self._failures > 1:
            made.message += f" (and {self._failures - 1} more records)"
        return made

    def _cause(self, error: Any) -> Any:
        """Return the cause of an error that only reports an earlier failure.

        The abort, which comes next in any case, raises the cause if it was fatal.
        """
        if self.state == "idle" or name_of(error) not in _CONSEQUENCES:
            return error
        try:
            self._wait_in("abort_transaction", self._abort_secs)
        except HungError:
            return error
        except kafka.KafkaException as cause:
            return cause if kafka_error(cause).fatal() else error
        self.state = "idle"
        return error

    def close(self) -> None:
        """Abort the open transaction, if the broker answers, and release the producer."""
        self.abort()
        if self._hung:  # the thread that hangs in it destroys it, should it ever return
            self._producer = None
            return
        with contextlib.suppress(kafka.KafkaException):  # fatal, and reported before
            self._producer.purge()
            self._producer.poll(0)
        self._producer = None  # destroyed now, not by the garbage collector


def _settings(config: KafkaSinkConfig, context: Context) -> dict[str, Any]:
    defaults = {
        "partitioner": "murmur2_random",  # as Java clients have it
        "linger.ms": 50,
        "queue.buffering.max.kbytes": 64 << 10,
    }
    own = {
        "enable.idempotence": config.idempotence,
        "acks": "all",
        "compression.type": config.compression,
        "batch.num.messages": 1_000_000,  # only the size limits a batch
        "message.max.bytes": config.max_record_size,
        "queue.buffering.max.messages": 0,  # only the size limits the queue
        "message.timeout.ms": int(config.delivery_timeout * 1000),
        # A callback per record halves the speed, so only failures are reported.
        "delivery.report.only.error": True,
    }
    return defaults | connection(config, context) | own
