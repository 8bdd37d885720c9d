"""The error table of Kafka: from names of librdkafka and broker errors to errors of ktrans.

The keys are the names of errors (`KafkaError.name()`), so that this needs no import of the client.
Names that begin with an underscore are librdkafka's own, the others are the broker's (Apache Kafka
protocol guide, "Error Codes"; librdkafka, rdkafka.h, `rd_kafka_resp_err_t`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RetryableError,
    RunError,
    UnavailableError,
)
from ktrans.kit.errors import ErrorTable, row

_FENCED = row(
    RunError,
    *("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "FENCED_INSTANCE_ID"),
    code="kafka_fenced",
    hint="another process with the same pipeline name writes to this cluster: stop one of them, or"
    " give them different names",
)
_UNREACHABLE = row(
    UnavailableError,
    *("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "_MSG_TIMED_OUT"),
    hint="check bootstrap_servers, and that the addresses that the brokers advertise"
    " (advertised.listeners) can be reached from here",
)
_TABLE = ErrorTable(
    (
        row(
            AccessError,
            "TOPIC_AUTHORIZATION_FAILED",
            hint="grant the principal the operations that the plugin's README lists, on this topic",
        ),
        row(
            AccessError,
            "GROUP_AUTHORIZATION_FAILED",
            hint="grant the principal Read on the consumer group",
        ),
        row(
            AccessError,
            "CLUSTER_AUTHORIZATION_FAILED",
            hint="grant the principal IdempotentWrite on the cluster",
        ),
        row(
            AccessError,
            "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
            hint="grant the principal Write and Describe on transactional ids that begin with"
            " `ktrans.`",
        ),
        row(
            AccessError,
            "SASL_AUTHENTICATION_FAILED",
            hint="check sasl_mechanism, username and password",
        ),
        row(
            AccessError,
            "UNSUPPORTED_SASL_MECHANISM",
            hint="set sasl_mechanism to one that the listener offers",
        ),
        row(
            AccessError,
            "_AUTHENTICATION",
            hint="check sasl_mechanism, username and password (or the oauth_ options)",
        ),
        row(
            AccessError,
            "_SSL",
            hint="check the tls options against the listener: its certificate must be signed by"
            " tls_ca_file and name the host, and the port must be one that speaks TLS",
        ),
        _FENCED,
        row(
            ConfigError,
            "UNKNOWN_TOPIC_OR_PART",
            "_UNKNOWN_TOPIC",
            hint="create the topic, or let the broker create it (auto.create.topics.enable)",
        ),
        row(ConfigError, "_UNKNOWN_PARTITION", hint="the topic has fewer partitions than that"),
        row(
            ConfigError,
            "TOPIC_EXCEPTION",
            hint="topic names have letters, digits, dots, dashes and underscores, 249 at most",
        ),
        row(
            ConfigError,
            "INVALID_TRANSACTION_TIMEOUT",
            hint="set transaction_timeout to no more than the broker's"
            " transaction.max.timeout.ms (15 minutes by default)",
        ),
        row(
            ConfigError,
            "UNSUPPORTED_VERSION",
            hint="the broker is too old for this, or does not offer it",
        ),
        row(
            ConfigError,
            "UNSUPPORTED_FOR_MESSAGE_FORMAT",
            hint="the topic keeps an old message format; set message.format.version to 0.11 or"
            " later",
        ),
        row(
            ConfigError,
            "INVALID_REPLICATION_FACTOR",
            hint="there are fewer brokers than replicas asked for",
        ),
        row(ConfigError, "POLICY_VIOLATION", hint="the cluster's own policy forbids it"),
        row(ConfigError, "UNSUPPORTED_COMPRESSION_TYPE", hint="set another compression"),
        row(ConfigError, "_INVALID_ARG", hint="check the options under librdkafka"),
        row(
            ConfigError,
            "_UNSUPPORTED_FEATURE",
            hint="the brokers, or this build of librdkafka, lack that; for brokers without"
            " transactions set delivery: at_least_once, and idempotence: false if they lack"
            " that as well",
        ),
        row(
            RetryableError,
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
        ),
    ),
    otherwise=row(RunError),
)
_CONNECTING = _TABLE.extended(_UNREACHABLE)
_RETRYABLE = row(RetryableError)


def kafka_error(error: Any) -> Any:
    """Return the KafkaError in a KafkaException, or the KafkaError itself."""
    return error.args[0] if isinstance(error, BaseException) and error.args else error


def name_of(error: Any) -> str:
    """Return the name of an error, such as `_TRANSPORT`; "" if it is not a Kafka error."""
    inner = kafka_error(error)
    return str(inner.name()) if hasattr(inner, "name") else ""


def is_fenced(error: Any) -> bool:
    """Return whether another producer took over, or the broker aborted the transaction."""
    return name_of(error) in _FENCED.keys


def is_access(error: Any) -> bool:
    """Return whether credentials, permissions or certificates are the cause."""
    found = _TABLE.find(name_of(error))
    return found is not None and found.kind is AccessError


def may_pass(error: Any) -> bool:
    """Return whether the same request may succeed if it is repeated."""
    inner = kafka_error(error)
    found = _TABLE.find(name_of(inner))
    if found is not None and found.kind is RetryableError:
        return True
    return bool(hasattr(inner, "retriable") and inner.retriable() and not inner.fatal())


def translate(error: Any, doing: str, *, connecting: bool = False) -> KtransError:
    """Return the ktrans error for an error of the client, to be raised `from` it.

    Args:
        error: a KafkaException or a KafkaError.
        doing: what failed, to precede the client's message: "kafka: writing to flows".
        connecting: whether this is the first contact, which is not retried: an unreachable cluster
            is then unavailable, not retryable.
    """
    inner = kafka_error(error)
    name = name_of(inner)
    text = str(inner.str()) if hasattr(inner, "str") else str(inner)
    table = _CONNECTING if connecting else _TABLE
    found = table.find(name) or (_RETRYABLE if may_pass(inner) else table.otherwise)
    if found.code is None and found.kind in (ConfigError, RetryableError, RunError):
        found = replace(found, code=f"kafka_{name.lower().lstrip('_')}" if name else "kafka")
    return found.error(f"{doing}: {text or name}")
