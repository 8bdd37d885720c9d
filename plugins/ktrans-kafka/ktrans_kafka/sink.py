"""The `kafka` sink: writes rows as records of Kafka topics, one transaction per task."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    Dataset,
    DeliveryGuarantee,
    EpochId,
    KtransError,
    Reach,
    Receipt,
    Refused,
    Sink,
    StageLostError,
    TaskId,
    UnavailableError,
    Writer,
)
from ktrans.kit.columns import option
from ktrans_kafka.client import kafka, kafka_admin
from ktrans_kafka.encode import Encoder, Outgoing
from ktrans_kafka.encode_parts import check_plain, check_time, parse_topic
from ktrans_kafka.errors import name_of
from ktrans_kafka.producer import TaskProducer
from ktrans_kafka.producer_pool import ProducerPool
from ktrans_kafka.sink_config import KafkaSinkConfig

_COMMITS_AT_ONCE = 16
_MISSING = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC")


class KafkaSink(Sink[KafkaSinkConfig]):
    """Writes records to Kafka, exactly once for readers of committed records.

    Each task writes in one transaction, which `commit` commits once the epoch is decided. The
    transaction includes the epoch's mark: after a crash the marks show which tasks were committed,
    and only the others are written again. Tasks become visible one by one, within milliseconds of
    each other if nothing fails.
    """

    def __init__(self, config: KafkaSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.producers = ProducerPool(config, self.context)
        self.encoder = Encoder(config, self.context)
        self.topics: set[str] = set()

    @property
    def stages(self) -> Reach:
        """Anywhere if rows are sent at once, and no limit has to see all of them."""
        return "here" if self.bound_because else "anywhere"

    @property
    def bound_because(self) -> str:
        """What of its options binds it to a process."""
        if self.producers.exactly_once:
            return "a transaction is committed by the process that wrote it"
        if parse_topic(self.config.topic).slots:
            return "it counts topics for max_topics in memory"
        return ""

    @property
    def delivery(self) -> DeliveryGuarantee:
        """The configured guarantee."""
        return self.config.delivery

    def datasets(self) -> list[Dataset]:
        """Return the topic, or its template."""
        return [Dataset(f"kafka://{self.config.bootstrap_servers[0]}", self.config.topic)]

    def check(self) -> None:
        """Check that the cluster can be reached and permits what the sink does."""
        marks = self.producers.marks
        broker = next(iter(marks.admin.reach(connecting=True).brokers), 0)
        fixed = [] if parse_topic(self.config.topic).slots else [self.config.topic]
        for topic in fixed:
            self._check_topic(topic, broker)
        if self.config.delivery == "exactly_once":
            self._check_transactions()
            for topic in fixed:
                marks.read(marks.group("check", 0), topic)
        self.encoder.check(fixed)

    def _check_topic(self, topic: str, broker: int) -> None:
        """Check that a topic exists, or would be created, and takes records of max_record_size."""
        try:
            # Use the admin API: asking with a producer may create the topic.
            wanted = kafka.TopicCollection([topic])
            self.producers.marks.admin.ask("kafka: topic {}", "describe_topics", wanted)
        except ConfigError as error:
            if name_of(error.__cause__) not in _MISSING:
                raise
            if self._setting("BROKER", str(broker), "auto.create.topics") == "true":
                return
            raise ConfigError(
                f"kafka: topic {topic} does not exist",
                field="topic",
                code="topic_missing",
                hint="create it; the cluster does not create topics automatically, or hides the setting",
            ) from error
        limit = self._setting("TOPIC", topic, "max.message.bytes")
        if limit is not None and int(limit) < self.config.max_record_size:
            raise ConfigError(
                f"kafka: topic {topic} accepts record batches of {limit} bytes, which is less than"
                f" max_record_size, {self.config.max_record_size}",
                field="max_record_size",
                code="max_message_bytes",
                hint=f"set max_record_size: {limit}, or raise max.message.bytes of the topic",
            )

    def _setting(self, kind: str, name: str, prefix: str) -> str | None:
        """Return a setting of a broker or topic; None if the principal may not read it."""
        resource, admin = kafka_admin.ConfigResource(kind, name), self.producers.marks.admin
        try:
            answers = admin.ask("kafka: reading the settings of {}", "describe_configs", [resource])
        except AccessError:
            return None
        found = answers[resource].items()
        return next((entry.value for name, entry in found if name.startswith(prefix)), None)

    def _check_transactions(self) -> None:
        """Claim a transactional id that no task uses."""
        name = self.producers.marks.transactional_id("check")
        producer = TaskProducer(self.config, self.context, name)
        try:
            producer.recover()
        except (AccessError, ConfigError):
            raise
        except KtransError as error:
            raise UnavailableError(
                error.message,
                hint="the cluster answers, but not its transaction coordinator: there may be fewer"
                " brokers than transaction.state.log.replication.factor requires; or set delivery:"
                " at_least_once",
            ) from error
        finally:
            producer.close()

    def bind(self, schema: pa.Schema) -> None:
        """Check the columns that are used in records."""
        with option("topic"):
            check_plain(schema, [slot.column for slot in parse_topic(self.config.topic).slots])
        with option("key"):
            check_plain(schema, self.config.key)
        with option("header_columns"):
            check_plain(schema, self.config.header_columns)
        with option("timestamp_column"):
            check_time(schema, self.config.timestamp_column)
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
            self.producers.drop_all()  # rows that are not to be published: readers wait for these
            return
        with ThreadPoolExecutor(min(len(staged), _COMMITS_AT_ONCE), "kafka-commit") as threads:
            futures = [threads.submit(self.producers.commit, data) for data in staged]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:  # lost transactions are written again; report any other error first
            raise min(errors, key=lambda error: isinstance(error, StageLostError))

    def close(self) -> None:
        """Abort open transactions and close the connections."""
        self.producers.close()

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
        self._topics: dict[str, int] = {}
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
                self._producer, self._done = self._sink.producers.take(self._task, records.topic)
            if not self._done:
                self._producer.send(records)
            self._bytes += records.nbytes
            self._topics[records.topic] = self._topics.get(records.topic, 0) + records.rows

    def finish(self) -> Receipt:
        """Wait until all records and the epoch's mark are acknowledged; commit nothing yet."""
        data: dict[str, Any] = {}
        topic = next(iter(self._topics), "")
        if self._producer is not None:
            if not self._done:
                self._sink.producers.seal(self._producer, self._task, topic)
            if self._sink.producers.exactly_once:
                epoch = self._task.epoch
                data = {
                    "task": self._task.index,
                    "epoch": epoch.number,
                    "history": epoch.history,
                    "topic": topic,
                }
        server = self._sink.config.bootstrap_servers[0]
        outputs = tuple(f"kafka://{server}/{topic}" for topic in sorted(self._topics))
        return Receipt(sum(self._topics.values()), self._bytes, data, outputs)

    def refused(self) -> Sequence[Refused]:
        """Return the rows whose records are too large."""
        return self._refused

    def abort(self) -> None:
        """Abort the transaction; records sent without one remain."""
        if self._producer is not None and not self._done:
            self._sink.producers.drop(self._task.index)
        self._producer = None
