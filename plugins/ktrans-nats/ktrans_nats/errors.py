"""Errors of NATS and JetStream as errors of ktrans.

Sources: nats-server, `server/errors.json` (codes of JetStream); the exceptions of nats-py.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from ktrans.api import AccessError, ConfigError, KtransError, RetryableError, RunError
from ktrans.kit.errors import ErrorTable, row

INCOMPLETE = 10176
"""Messages of an atomic batch are missing."""

ERRORS = ErrorTable(
    (
        row(
            ConfigError,
            10059,
            code="jetstream_missing",
            field="stream",
            hint="create the stream, or correct `stream` and `domain`",
        ),
        row(
            ConfigError,
            10060,
            code="subject_not_in_stream",
            field="subject",
            hint="another stream has this subject: correct `stream` or `subject`",
        ),
        row(
            ConfigError,
            *(10039, 10076),
            code="no_jetstream",
            hint="enable JetStream on the server and for this account",
        ),
        row(
            ConfigError,
            10174,
            code="no_atomic_batches",
            field="delivery",
            hint="nats stream edit STREAM --allow-batch; or set delivery: at_least_once",
        ),
        row(
            ConfigError,
            10199,
            code="batch_too_large",
            field="batch_messages",
            hint="lower batch_messages to the limit of the server",
        ),
        row(
            ConfigError,
            10054,
            code="max_payload",
            field="max_message_size",
            hint="lower max_message_size to the stream's max_msg_size",
        ),
        row(
            RetryableError,
            *(10047, 10077),
            code="jetstream_full",
            hint="the stream has reached its limit and discards new messages: make room, or raise it",
        ),
        row(RetryableError, 503, 500, 408, *(INCOMPLETE, 10071, 10164), code="busy"),
    )
)
"""By the code of JetStream, or by the status."""

CLIENT = ErrorTable(
    (
        row(RetryableError, "NoRespondersError", code="busy"),
        row(
            ConfigError,
            "MaxPayloadError",
            code="max_payload",
            field="max_message_size",
            hint="lower max_message_size to the server's max_payload",
        ),
        row(RunError, "BadSubjectError", "BadHeaderError", code="refused"),
        row(
            RetryableError,
            "TimeoutError",
            code="connection",
            hint="check that `servers` are of NATS, or raise `timeout`",
        ),
        row(
            RetryableError,
            *("Error", "OSError"),
            code="unreachable",
            hint="check `servers`, the firewall, and that the server is up",
        ),
    )
)
"""By the names of an exception's classes: of nats-py, or of Python."""


def answer_error(error: Any, what: str) -> KtransError:
    """Make the error for the `error` of an answer of JetStream."""
    said = f"{what}: {error.get('description', 'refused')}"
    return ERRORS.error(said, error.get("err_code"), error.get("code"))


def connection_error(
    error: BaseException, said: Sequence[BaseException], where: str
) -> KtransError | None:
    """Make the error for an exception of nats-py; None if it is not one of those.

    Args:
        error: the exception.
        said: what the client reported beside it.
        where: the server, for messages.
    """
    for each in (*said, error):
        if (made := _refusal(each, where)) is not None:
            return made
    name = next((one.__name__ for one in type(error).__mro__ if CLIENT.find(one.__name__)), None)
    if name is None:
        return None
    why = f": {said[-1]}" if said and said[-1] is not error else ""
    what = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return CLIENT.error(f"{where}: {str(error) or what}{why}", name)


def _refusal(error: BaseException, where: str) -> KtransError | None:
    """Make the error for something that does not pass by waiting."""
    if isinstance(error, ssl.SSLError):
        hint = "set tls_ca_file to the CA certificate of the server"
        return AccessError(f"no secure connection to {where}: {error}", code="nats_tls", hint=hint)
    text = str(error).lower()
    if "permissions violation" in text:
        return AccessError(f"{where}: {error}", hint="grant the user this subject")
    if "authorization" in text or "authentication" in text:
        hint = "correct the user, token, credentials or key of the sink"
        return AccessError(f"{where} refuses the credentials: {error}", hint=hint)
    return None
