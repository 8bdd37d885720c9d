"""The `kafka` sink: rows as records of Kafka topics, one transaction a task."""

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
from ktrans_kafka.encode import Encoder, JsonEncoder, Outgoing, RowEncoder
from ktrans_kafka.encode_parts import check_column, check_time
from ktrans_kafka.encode_topic import parse_topic
from ktrans_kafka.producer import Lane
from ktrans_kafka.producer_fleet import Fleet
from ktrans_kafka.producer_mark import Marks
from ktrans_kafka.sink_check import check_cluster
from ktrans_kafka.sink_config import BY_BATCH, KafkaSinkConfig

_COMMITS_AT_ONCE = 16


class KafkaSink(Sink[KafkaSinkConfig]):
    """Writes records to Kafka, exactly once for readers of committed records.

    A task writes inside one transaction, which `commit` commits after the decision for the epoch.
    The transaction holds the epoch's mark: after a crash the mark tells which tasks were committed,
    and only the others are written again. Tasks become visible one after another, within
    milliseconds of each other when nothing fails.
    """

    @cached_property
    def marks(self) -> Marks:
        """What reads and names the epoch's marks."""
        return Marks(self.config, self.context)

    @cached_property
    def fleet(self) -> Fleet:
        """The producers."""
        return Fleet(self.config, self.context, self.marks)

    @cached_property
    def encoder(self) -> Encoder:
        """What makes records of batches."""
        return Encoder(self.config, self.context, self.rows)

    @cached_property
    def rows(self) -> RowEncoder | None:
        """What makes a value of each row, unless a record holds a batch."""
        if self.config.encoding in BY_BATCH:
            return None
        if self.config.encoding == "json":
            return JsonEncoder(self.config)
        from ktrans_kafka.schemas import SchemaEncoder

        return SchemaEncoder(self.config, self.context)

    @cached_property
    def topics(self) -> set[str]:
        """The topics that were written to so far."""
        return set()

    @property
    def delivery(self) -> DeliveryGuarantee:
        """What was chosen."""
        return self.config.delivery

    def datasets(self) -> list[Dataset]:
        """Name the topics."""
        space = f"kafka://{self.config.bootstrap_servers[0]}"
        return [Dataset(space, topic) for topic in [self.config.topic]]

    def check(self) -> None:
        """Find out whether the cluster can be reached and lets the sink do what it must.

        Raises:
            UnavailableError: no broker answers.
            AccessError: a login, certificate or permission is missing.
            ConfigError: a topic is missing, or a limit of the brokers does not fit the options.
        """
        fixed = [] if parse_topic(self.config.topic).slots else [self.config.topic]
        check_cluster(self.config, self.context, self.marks, fixed)
        if self.rows is not None:
            self.rows.check(fixed)

    def bind(self, schema: pa.Schema) -> None:
        """Check the columns that make records.

        Raises:
            ConfigError: a column is missing, or its type does not fit.
        """
        for slot in parse_topic(self.config.topic).slots:
            check_column(schema, slot.column, "topic")
        for option in ("key", "header_columns"):
            for column in getattr(self.config, option):
                check_column(schema, column, option)
        if self.config.timestamp_column is not None:
            check_time(schema, self.config.timestamp_column, "timestamp_column")
        self.encoder.bind(schema)

    def prepare(self, epoch: EpochId) -> None:  # noqa: ARG002  there is never more than one
        """Abort what a failed attempt of this process left open.

        What another process left is aborted by the broker, when a task claims its transactional id.
        """
        self.fleet.drop_all()

    def writer(self, task: TaskId) -> KafkaWriter:
        """Give a writer that sends the task's rows in a transaction of its own."""
        return KafkaWriter(self, task)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:  # noqa: ARG002  in data
        """Commit the tasks' transactions.

        Raises:
            StageLostError: at least one was aborted; tasks that were committed keep their rows out
                of the next attempt.
        """
        staged = [receipt.data for receipt in receipts if "task" in receipt.data]
        if not staged:
            return
        with ThreadPoolExecutor(min(len(staged), _COMMITS_AT_ONCE), "kafka-commit") as threads:
            futures = [threads.submit(self.fleet.commit, data) for data in staged]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:  # lost ones are written again; anything else must be seen first
            raise min(errors, key=lambda error: isinstance(error, StageLostError))

    def close(self) -> None:
        """Abort what is open and let go of the connections."""
        self.fleet.close()
        self.marks.close()

    def count_topic(self, topic: str) -> None:
        """Keep the number of topics within bounds.

        Raises:
            ConfigError: there are more than `max_topics`.
        """
        self.topics.add(topic)
        if len(self.topics) > self.config.max_topics:
            raise ConfigError(
                f"kafka: the rows name more than {self.config.max_topics} topics, such as {topic}",
                field="topic",
                code="too_many_topics",
                hint="take a column with fewer values, or raise max_topics",
            )


class KafkaWriter(Writer):
    """Sends the rows of one task."""

    def __init__(self, sink: KafkaSink, task: TaskId) -> None:
        self._sink = sink
        self._task = task
        self._lane: Lane | None = None
        self._done = False
        """Whether the task's rows are in the log already, from before a crash."""
        self._topic = ""
        self._topics: dict[str, int] = {}
        self._rows = 0
        self._bytes = 0
        self._refused: list[Refused] = []

    def encode(self, batch: pa.RecordBatch) -> Outgoing:
        """Make records of a batch. Pure, but for looking schemas up."""
        return self._sink.encoder.encode(batch)

    def write(self, encoded: Outgoing) -> None:
        """Send records.

        Raises:
            KtransError: the brokers refuse them, or cannot be reached.
        """
        self._refused += encoded.refused
        for records in encoded.records:
            if records.topic not in self._topics:
                self._sink.count_topic(records.topic)
            if self._lane is None:
                self._topic = records.topic
                self._lane, self._done = self._sink.fleet.take(self._task, records.topic)
            if not self._done:
                self._lane.send(records)
            self._rows += records.rows
            self._bytes += records.nbytes
            self._topics[records.topic] = self._topics.get(records.topic, 0) + records.rows

    def finish(self) -> Receipt:
        """Have everything in the log and acknowledged, with the epoch's mark, not yet committed."""
        data: dict[str, Any] = {}
        if self._lane is not None:
            if not self._done:
                self._sink.fleet.seal(self._lane, self._task, self._topic)
            if self._sink.fleet.exactly_once:
                epoch = self._task.epoch
                data = {
                    "task": self._task.index,
                    "epoch": epoch.number,
                    "history": epoch.history,
                    "topic": self._topic,
                }
        return Receipt(self._rows, self._bytes, data, tuple(sorted(self._topics)))

    def refused(self) -> Sequence[Refused]:
        """Give the rows whose records are too large."""
        return self._refused

    def abort(self) -> None:
        """Abort the transaction; what was sent without one stays."""
        if self._lane is not None and not self._done:
            self._sink.fleet.drop(self._task.index)
        self._lane = None
