"""The `kafka` sink: writes rows as records of Kafka topics, one transaction per task."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import pyarrow as pa

from ktrans.api import (
    ConfigError,
    Dataset,
    DeliveryGuarantee,
    EpochId,
    Receipt,
    Refused,
    Sink,
    StageLostError,
    TaskId,
    Writer,
)
from ktrans_kafka.encode import Encoder, Outgoing
from ktrans_kafka.encode_parts import check_column, check_time
from ktrans_kafka.producer import TaskProducer
from ktrans_kafka.producer_marks import EpochMarks
from ktrans_kafka.producer_pool import ProducerPool
from ktrans_kafka.sink_check import check_cluster
from ktrans_kafka.sink_config import KafkaSinkConfig
from ktrans_kafka.topic_template import parse_topic

_COMMITS_AT_ONCE = 16


class KafkaSink(Sink[KafkaSinkConfig]):
    """Writes records to Kafka, exactly once for readers of committed records.

    Each task writes in one transaction, which `commit` commits once the epoch is decided. The
    transaction includes the epoch's mark: after a crash the marks show which tasks were committed,
    and only the others are written again. Tasks become visible one by one, within milliseconds of
    each other if nothing fails.
    """

    @cached_property
    def marks(self) -> EpochMarks:
        """The reader of the epoch's marks."""
        return EpochMarks(self.config, self.context)

    @cached_property
    def producers(self) -> ProducerPool:
        """The producers of the tasks."""
        return ProducerPool(self.config, self.context, self.marks)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of batches."""
        return Encoder(self.config, self.context)

    @cached_property
    def topics(self) -> set[str]:
        """The topics written to so far."""
        return set()

    @property
    def delivery(self) -> DeliveryGuarantee:
        """The configured guarantee."""
        return self.config.delivery

    def datasets(self) -> list[Dataset]:
        """Return the topic, or its template."""
        return [Dataset(f"kafka://{self.config.bootstrap_servers[0]}", self.config.topic)]

    def check(self) -> None:
        """Check that the cluster can be reached and permits what the sink does."""
        fixed = [] if parse_topic(self.config.topic).slots else [self.config.topic]
        check_cluster(self.config, self.context, self.marks, fixed)
        self.encoder.check(fixed)

    def bind(self, schema: pa.Schema) -> None:
        """Check the columns that are used in records."""
        for slot in parse_topic(self.config.topic).slots:
            check_column(schema, slot.column, "topic")
        for option in ("key", "header_columns"):
            for column in getattr(self.config, option):
                check_column(schema, column, option)
        if self.config.timestamp_column is not None:
            check_time(schema, self.config.timestamp_column, "timestamp_column")
        self.encoder.bind(schema)

    def prepare(self, epoch: EpochId) -> None:  # noqa: ARG002  only one epoch is open
        """Abort transactions that a failed attempt of this process left open.

        The broker aborts those of other processes when a task claims its transactional id.
        """
        self.producers.drop_all()

    def writer(self, task: TaskId) -> KafkaWriter:
        """Return a writer that sends the task's rows in its own transaction."""
        return KafkaWriter(self, task)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:  # noqa: ARG002  in data
        """Commit the tasks' transactions.

        Raises:
            StageLostError: at least one was aborted. The next attempt does not write the tasks again
                that were committed.
        """
        staged = [receipt.data for receipt in receipts if "task" in receipt.data]
        if not staged:
            return
        with ThreadPoolExecutor(min(len(staged), _COMMITS_AT_ONCE), "kafka-commit") as threads:
            futures = [threads.submit(self.producers.commit, data) for data in staged]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:  # lost transactions are written again; report any other error first
            raise min(errors, key=lambda error: isinstance(error, StageLostError))

    def close(self) -> None:
        """Abort open transactions and close the connections."""
        self.producers.close()
        self.marks.admin.close()

    def count_topic(self, topic: str) -> None:
        """Count a topic."""
        self.topics.add(topic)
        if len(self.topics) > self.config.max_topics:
            raise ConfigError(
                f"kafka: the rows have more than {self.config.max_topics} topics, such as {topic}",
                field="topic",
                code="too_many_topics",
                hint="use a column with fewer values, or raise max_topics",
            )


class KafkaWriter(Writer):
    """Sends the rows of one task."""

    def __init__(self, sink: KafkaSink, task: TaskId) -> None:
        self._sink = sink
        self._task = task
        self._producer: TaskProducer | None = None
        self._done = False
        """Whether the task was committed before a crash: its rows are in the log."""
        self._topic = ""
        self._topics: dict[str, int] = {}
        self._rows = 0
        self._bytes = 0
        self._refused: list[Refused] = []

    def encode(self, batch: pa.RecordBatch) -> Outgoing:
        """Encode a batch as records. Pure, except for looking up schemas."""
        return self._sink.encoder.encode(batch)

    def write(self, encoded: Outgoing) -> None:
        """Send records."""
        self._refused += encoded.refused
        for records in encoded.records:
            if records.topic not in self._topics:
                self._sink.count_topic(records.topic)
            if self._producer is None:
                self._topic = records.topic
                self._producer, self._done = self._sink.producers.take(self._task, records.topic)
            if not self._done:
                self._producer.send(records)
            self._rows += records.rows
            self._bytes += records.nbytes
            self._topics[records.topic] = self._topics.get(records.topic, 0) + records.rows

    def finish(self) -> Receipt:
        """Wait until all records and the epoch's mark are acknowledged; commit nothing yet."""
        data: dict[str, Any] = {}
        if self._producer is not None:
            if not self._done:
                self._sink.producers.seal(self._producer, self._task, self._topic)
            if self._sink.producers.exactly_once:
                epoch = self._task.epoch
                data = {
                    "task": self._task.index,
                    "epoch": epoch.number,
                    "history": epoch.history,
                    "topic": self._topic,
                }
        return Receipt(self._rows, self._bytes, data, tuple(sorted(self._topics)))

    def refused(self) -> Sequence[Refused]:
        """Return the rows whose records are too large."""
        return self._refused

    def abort(self) -> None:
        """Abort the transaction; records sent without one remain."""
        if self._producer is not None and not self._done:
            self._sink.producers.drop(self._task.index)
        self._producer = None
