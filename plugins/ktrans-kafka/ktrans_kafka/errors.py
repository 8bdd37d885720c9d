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
_SILENT = ("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "_MSG_TIMED_OUT")
_UNREACHABLE = row(
    UnavailableError,
    *_SILENT,
    hint="check bootstrap_servers, and that the addresses that the brokers advertise"
    " (advertised.listeners) can be reached from here",
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
_CONFIG = {
    "UNKNOWN_TOPIC_OR_PART": "create the topic, or let the broker create it"
    " (auto.create.topics.enable)",
    "_UNKNOWN_TOPIC": "create the topic, or let the broker create it (auto.create.topics.enable)",
    "_UNKNOWN_PARTITION": "the topic has fewer partitions than that",
    "TOPIC_EXCEPTION": "topic names have letters, digits, dots, dashes and underscores, 249 at"
    " most",
    "INVALID_TRANSACTION_TIMEOUT": "set transaction_timeout to no more than the broker's"
    " transaction.max.timeout.ms (15 minutes by default)",
    "UNSUPPORTED_VERSION": "the broker is too old for this, or does not offer it",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": "the topic keeps an old message format; set"
    " message.format.version to 0.11 or later",
    "INVALID_REPLICATION_FACTOR": "there are fewer brokers than replicas asked for",
    "POLICY_VIOLATION": "the cluster's own policy forbids it",
    "UNSUPPORTED_COMPRESSION_TYPE": "set another compression",
    "_INVALID_ARG": "check the options under librdkafka",
    "_UNSUPPORTED_FEATURE": "the brokers, or this build of librdkafka, lack that; for brokers"
    " without transactions set delivery: at_least_once, and idempotence: false if they lack that"
    " as well",
}
# INVALID_PRODUCER_ID_MAPPING: expired in a long pause; a new producer gets another
# INVALID_TXN_STATE: a transaction that timed out unseen; a new producer begins another
_RETRYABLE = [
    *_SILENT,
    "_TIMED_OUT_QUEUE",
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
    "UNSTABLE_OFFSET_COMMIT",
    "OFFSET_NOT_AVAILABLE",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "LISTENER_NOT_FOUND",
    "THROTTLING_QUOTA_EXCEEDED",
    "REBALANCE_IN_PROGRESS",
    "INVALID_PRODUCER_ID_MAPPING",
    "INVALID_TXN_STATE",
]
_TABLE = ErrorTable(
    (
        *(row(AccessError, name, hint=hint) for name, hint in _ACCESS.items()),
        _FENCED,
        *(row(ConfigError, name, hint=hint) for name, hint in _CONFIG.items()),
        row(RetryableError, *_RETRYABLE),
    ),
    otherwise=row(RunError),
)
_CONNECTING = _TABLE.extended(_UNREACHABLE)


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
    found = table.find(name) or (row(RetryableError) if may_pass(inner) else table.otherwise)
    if found.code is None and found.kind in (ConfigError, RetryableError, RunError):
        found = replace(found, code="kafka")
        text = f"{text} ({name})" if text and name else text
    return found.error(f"{doing}: {text or name}")
