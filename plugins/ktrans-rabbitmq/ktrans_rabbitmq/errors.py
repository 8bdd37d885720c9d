"""Errors of RabbitMQ as errors of ktrans.

Sources: AMQP 0-9-1, "Constants" (reply codes); the exceptions of pika.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from ktrans.api import AccessError, ConfigError, KtransError, RetryableError, RunError
from ktrans.kit.errors import ErrorTable, row

_LOGIN = "correct username, password and the virtual host in `url`"
ERRORS = ErrorTable(
    (
        row(
            AccessError,
            *("ProbableAuthenticationError", "AuthenticationError", "ProbableAccessDeniedError"),
            hint=_LOGIN,
        ),
        row(AccessError, 403, hint="give the user the right to write to the exchange"),
        row(
            ConfigError,
            *(404, 402),
            code="no_exchange",
            hint="create it, or set declare_exchange or declare_queue",
        ),
        row(
            ConfigError,
            *(406, 405),
            code="declared_otherwise",
            hint="there is one of this name with other properties: leave out declare_exchange and"
            " declare_queue",
        ),
        row(AccessError, 530, hint=_LOGIN),
        row(RetryableError, *(320, 311, 506, 541, 313), code="busy"),
        row(RetryableError, "ConnectionClosedByBroker", code="connection"),
        row(
            RetryableError,
            *("AMQPConnectionError", "OSError"),
            code="unreachable",
            hint="check `url`, the firewall, and that the server is up",
        ),
    ),
    otherwise=row(RunError, code="refused"),
)
"""By the reply code, or by the names of an exception's classes."""


def converted(error: BaseException, where: str) -> KtransError:
    """Return the error of ktrans for one of pika."""
    causes = list(_causes(error))
    for each in causes:
        if isinstance(each, ssl.SSLError):
            return AccessError(
                f"no secure connection to {where}: {each}",
                code="rabbitmq_tls",
                hint="set tls_ca_file to the CA certificate of the server",
            )
        if type(each).__name__ == "ConnectionOpenAborted":  # by pika, after its time
            return late(where)
    said = next((str(each) for each in reversed(causes) if str(each)), type(error).__name__)
    names = [kind.__name__ for each in causes for kind in type(each).__mro__]
    code = getattr(error, "reply_code", None)
    return ERRORS.error(f"{where}: {said}", code, *names)


def late(where: str) -> KtransError:
    """Make the error for a server that says nothing."""
    return RetryableError(
        f"{where} does not answer in time",
        code="connection",
        hint="check that `url` is of RabbitMQ, or raise `timeout`",
    )


def unroutable(exchange: str, key: str, where: str) -> KtransError:
    """Make the error for a message that no queue takes."""
    place = f"exchange {exchange}" if exchange else "the default exchange"
    return ConfigError(
        f"{where}: {place} has no queue for the routing key {key!r}",
        field="routing_key",
        code="unroutable",
        hint="bind a queue to it: without one the message would be lost",
    )


def not_taken(where: str) -> KtransError:
    """Make the error for a message that the server does not take now."""
    return RetryableError(
        f"{where} does not accept a message: a queue is full, or cannot write",
        code="queue_full",
        hint="the queue has reached its limit and rejects new messages: make room, or raise it",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and those that it holds; pika keeps them in their arguments."""
    yield error
    inner = [each for each in error.args if isinstance(each, BaseException)]
    for name in ("exception", "exceptions", "last_exception"):
        held = getattr(error, name, None)
        inner += [each for each in (held if isinstance(held, list | tuple) else [held])
                  if isinstance(each, BaseException)]  # fmt: skip
    for each in inner:
        yield from _causes(each)
