"""Checks brokers, topics, permissions and limits for `validate --connect`, without writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktrans.api import AccessError, ConfigError, Context, KtransError, UnavailableError
from ktrans_kafka.cluster import Admin
from ktrans_kafka.errors import name_of
from ktrans_kafka.producer import TaskProducer
from ktrans_kafka.producer_marks import EpochMarks
from ktrans_kafka.sink_config import KafkaSinkConfig

_MISSING = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC")


def check_cluster(
    config: KafkaSinkConfig, context: Context, marks: EpochMarks, topics: Sequence[str]
) -> None:
    """Check all that a run needs of the cluster; `topics` are those known before a run."""
    broker = next(iter(marks.admin.reach(connecting=True).brokers), 0)
    for topic in topics:
        _check_topic(config, marks.admin, topic, broker)
    if config.delivery == "exactly_once":
        _check_transactions(config, context, marks, topics)


def _check_topic(config: KafkaSinkConfig, admin: Admin, topic: str, broker: int) -> None:
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import ConfigResource

    try:
        # Use the admin API: asking with a producer may create the topic.
        admin.ask("kafka: topic {}", "describe_topics", TopicCollection([topic]))
    except ConfigError as error:
        if name_of(error.__cause__) not in _MISSING:
            raise
        made = _setting(admin, ConfigResource("BROKER", str(broker)), "auto.create.topics")
        if made == "true":
            return
        raise ConfigError(
            f"kafka: topic {topic} does not exist",
            field="topic",
            code="topic_missing",
            hint="create it; the cluster does not create topics automatically, or hides the setting",
        ) from error
    limit = _setting(admin, ConfigResource("TOPIC", topic), "max.message.bytes")
    if limit is not None and int(limit) < config.max_record_size:
        raise ConfigError(
            f"kafka: topic {topic} accepts record batches of {limit} bytes, which is less than"
            f" max_record_size, {config.max_record_size}",
            field="max_record_size",
            code="max_message_bytes",
            hint=f"set max_record_size: {limit}, or raise max.message.bytes of the topic",
        )


def _setting(admin: Admin, resource: Any, prefix: str) -> str | None:
    """Return a setting of a broker or topic; None if the principal may not read it."""
    try:
        answers = admin.ask("kafka: reading the settings of {}", "describe_configs", [resource])
    except AccessError:
        return None
    found = answers[resource].items()
    return next((entry.value for name, entry in found if name.startswith(prefix)), None)


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
