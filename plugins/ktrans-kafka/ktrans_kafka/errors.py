"""What Kafka's errors mean for a run: try again, ask for a permission, mend the config, or stop.

Errors are told apart by name (`KafkaError.name()`), so that this needs no import of the client.
Names that begin with an underscore are librdkafka's own, the others come from the broker (Apache
Kafka protocol guide, "Error Codes"; librdkafka, rdkafka.h, `rd_kafka_resp_err_t`).
"""

from __future__ import annotations

from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RetryableError,
    RunError,
    UnavailableError,
)

_ACCESS = {
    "TOPIC_AUTHORIZATION_FAILED": "grant the principal the operations that the plugin's README"
    " lists, on this topic",
    "GROUP_AUTHORIZATION_FAILED": "grant the principal Read on the consumer group",
    "CLUSTER_AUTHORIZATION_FAILED": "grant the principal IdempotentWrite on the cluster",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "grant the principal Write and Describe on"
    " transactional ids that begin with `ktrans.`",
    "SASL_AUTHENTICATION_FAILED": "check sasl_mechanism, username and password",
    "UNSUPPORTED_SASL_MECHANISM": "set sasl_mechanism to one that the listener offers",
    "_AUTHENTICATION": "check sasl_mechanism, username and password (or the oauth_ options)",
    "_SSL": "check the tls options against the listener: its certificate must be signed by"
    " tls_ca_file and name the host, and the port must be one that speaks TLS",
}

_FENCED = {
    "_FENCED",
    "PRODUCER_FENCED",
    "INVALID_PRODUCER_EPOCH",
    "FENCED_INSTANCE_ID",
}

_CONFIG = {
    "UNKNOWN_TOPIC_OR_PART": "create the topic, or let the broker create it"
    " (auto.create.topics.enable)",
    "_UNKNOWN_TOPIC": "create the topic, or let the broker create it (auto.create.topics.enable)",
    "_UNKNOWN_PARTITION": "the topic has fewer partitions than that",
    "TOPIC_EXCEPTION": "topic names have letters, digits, dots, dashes and underscores, 249 at most",
    "INVALID_TRANSACTION_TIMEOUT": "set transaction_timeout to no more than the broker's"
    " transaction.max.timeout.ms (15 minutes by default)",
    "UNSUPPORTED_VERSION": "the broker is too old for this, or does not offer it",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": "the topic keeps an old message format; set"
    " message.format.version to 0.11 or later",
    "INVALID_REPLICATION_FACTOR": "there are fewer brokers than replicas asked for",
    "POLICY_VIOLATION": "the cluster's own policy forbids it",
    "UNSUPPORTED_COMPRESSION_TYPE": "set another compression",
    "_INVALID_ARG": "check the options under librdkafka",
    "_UNSUPPORTED_FEATURE": "the brokers, or this build of librdkafka, lack that; for brokers without"
    " transactions set delivery: at_least_once, and idempotence: false if they lack that as well",
}

_PASSING = {
    "_TRANSPORT",
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_MSG_TIMED_OUT",
    "_RETRY",
    "_WAIT_COORD",
    "_IN_PROGRESS",
    "_QUEUE_FULL",
    "_NODE_UPDATE",
    "REQUEST_TIMED_OUT",
    "BROKER_NOT_AVAILABLE",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION",
    "REPLICA_NOT_AVAILABLE",
    "NETWORK_EXCEPTION",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "NOT_CONTROLLER",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "KAFKA_STORAGE_ERROR",
    "CONCURRENT_TRANSACTIONS",
    "TRANSACTION_ABORTABLE",
    "INVALID_PRODUCER_ID_MAPPING",  # expired in a long pause; a new producer gets another
    "INVALID_TXN_STATE",  # a transaction that timed out unseen; a new producer begins another
    "UNSTABLE_OFFSET_COMMIT",
    "OFFSET_NOT_AVAILABLE",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "LISTENER_NOT_FOUND",
    "THROTTLING_QUOTA_EXCEEDED",
    "REBALANCE_IN_PROGRESS",
}

_UNREACHABLE = {"_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "_MSG_TIMED_OUT"}


def kafka_error(error: Any) -> Any:
    """Give the KafkaError that a KafkaException carries, or the KafkaError itself."""
    return error.args[0] if isinstance(error, BaseException) and error.args else error


def name_of(error: Any) -> str:
    """Give an error's name, such as `_TRANSPORT`; "" for what is no Kafka error."""
    inner = kafka_error(error)
    return str(inner.name()) if hasattr(inner, "name") else ""


def is_fenced(error: Any) -> bool:
    """Tell whether another producer took over, or the broker ended the transaction by itself."""
    return name_of(error) in _FENCED


def is_access(error: Any) -> bool:
    """Tell whether credentials, permissions or certificates are at fault."""
    return name_of(error) in _ACCESS


def may_pass(error: Any) -> bool:
    """Tell whether the same request may succeed if it is made again."""
    inner = kafka_error(error)
    if name_of(inner) in _PASSING:
        return True
    return bool(hasattr(inner, "retriable") and inner.retriable() and not inner.fatal())


def translate(error: Any, doing: str, *, connecting: bool = False) -> KtransError:
    """Say what an error of the client means, for a person and for the engine.

    Args:
        error: a KafkaException or a KafkaError.
        doing: what was being done, to go before the client's own words: "kafka: writing to flows".
        connecting: whether this is the first contact, where nobody tries again: what cannot be
            reached is then unavailable rather than worth another try.

    Returns:
        The error to raise, `from` the original.
    """
    inner = kafka_error(error)
    name = name_of(inner)
    text = str(inner.str()) if hasattr(inner, "str") else str(inner)
    message = f"{doing}: {text or name}"
    code = f"kafka_{name.lower().lstrip('_')}" if name else "kafka"
    if name in _ACCESS:
        return AccessError(message, hint=_ACCESS[name])
    if name in _FENCED:
        return RunError(
            message,
            code="kafka_fenced",
            hint="another process with the same pipeline name writes to this cluster: stop one of"
            " them, or give them different names",
        )
    if name in _CONFIG:
        return ConfigError(message, code=code, hint=_CONFIG[name])
    if connecting and name in _UNREACHABLE:
        return UnavailableError(
            message,
            hint="check bootstrap_servers, and that the addresses which the brokers advertise"
            " (advertised.listeners) can be reached from here",
        )
    if may_pass(inner):
        return RetryableError(message, code=code)
    return RunError(message, code=code)
