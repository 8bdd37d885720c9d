"""Checks brokers, topics, permissions and limits for `validate --connect`, without writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktrans.api import AccessError, ConfigError, Context, KtransError, UnavailableError
from ktrans_kafka.errors import is_access, name_of, translate
from ktrans_kafka.producer import TaskProducer
from ktrans_kafka.producer_marks import EpochMarks
from ktrans_kafka.sink_config import KafkaSinkConfig

_MISSING = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC")


def check_cluster(
    config: KafkaSinkConfig, context: Context, marks: EpochMarks, topics: Sequence[str]
) -> None:
    """Check all that a run needs of the cluster.

    Args:
        config: the sink's options.
        context: the sink's context.
        marks: provides the admin client.
        topics: the topics known before a run.

    Raises:
        KtransError: as `KafkaSink.check`.
    """
    broker = next(iter(marks.reach(connecting=True).brokers), 0)
    for topic in topics:
        _check_topic(config, marks, topic, broker)
    if config.delivery == "exactly_once":
        _check_transactions(config, context, marks, topics)


def _check_topic(config: KafkaSinkConfig, marks: EpochMarks, topic: str, broker: int) -> None:
    import confluent_kafka
    from confluent_kafka.admin import ConfigResource

    # Use the admin API: asking with a producer may create the topic.
    wanted = confluent_kafka.TopicCollection([topic])
    futures = marks.admin.describe_topics(wanted, request_timeout=config.connect_timeout)
    try:
        futures[topic].result(timeout=2 * config.connect_timeout)
    except confluent_kafka.KafkaException as error:
        if name_of(error) not in _MISSING:
            raise marks.connection_errors.explain(
                error, f"kafka: topic {topic}", connecting=True
            ) from error
        made = _setting(config, marks, ConfigResource("BROKER", str(broker)), "auto.create.topics")
        if made == "true":
            return
        raise ConfigError(
            f"kafka: topic {topic} does not exist",
            field="topic",
            code="topic_missing",
            hint="create it; the cluster does not create topics automatically, or hides the setting",
        ) from error
    limit = _setting(config, marks, ConfigResource("TOPIC", topic), "max.message.bytes")
    if limit is not None and int(limit) < config.max_record_size:
        raise ConfigError(
            f"kafka: topic {topic} accepts record batches of {limit} bytes, which is less than"
            f" max_record_size, {config.max_record_size}",
            field="max_record_size",
            code="max_message_bytes",
            hint=f"set max_record_size: {limit}, or raise max.message.bytes of the topic",
        )


def _setting(config: KafkaSinkConfig, marks: EpochMarks, resource: Any, prefix: str) -> str | None:
    """Return a setting of a broker or topic; None if the principal may not read it."""
    import confluent_kafka

    futures = marks.admin.describe_configs([resource], request_timeout=config.connect_timeout)
    try:
        found = futures[resource].result(timeout=2 * config.connect_timeout)
    except confluent_kafka.KafkaException as error:
        if is_access(error):
            return None
        raise translate(error, f"kafka: reading the settings of {resource}") from error
    return next((entry.value for name, entry in found.items() if name.startswith(prefix)), None)


def _check_transactions(
    config: KafkaSinkConfig, context: Context, marks: EpochMarks, topics: Sequence[str]
) -> None:
    """Claim a transactional id that no task uses, and read a mark that does not exist."""
    producer = TaskProducer(config, context, marks.transactional_id("check"))
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
    for topic in topics:
        marks.read(marks.group("check", 0), topic)
