"""Google's answers as errors of ktrans.

Source: Google Cloud documentation, "Cloud Storage: HTTP status and error codes" and "Pub/Sub: error
codes"; AIP-193 for the details of gRPC errors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RejectError,
    RetryableError,
    RunError,
)
from ktrans.kit.errors import HTTP, ErrorTable, as_unavailable, retry_after, row

_NETWORK_HINT = "check the endpoint, the name server and the firewall"
_SERVICE = HTTP.extended(
    row(RetryableError, "UNAVAILABLE", code="unreachable", hint=_NETWORK_HINT),
    row(
        RetryableError,
        *["ABORTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"],
        code="busy",
    ),
    row(
        RejectError,
        "resourceIsEncryptedWithCustomerEncryptionKey",
        code="encrypted",
        hint="the object is encrypted with a key that only its owner has",
    ),
    row(ConfigError, 404, code="not_found"),
    row(RunError, 409, 410, 412, 416, code="refused"),
)
"""By the reason of an HTTP answer, the name of the gRPC status, or by HTTP status."""

_CLIENT = ErrorTable(
    (
        row(
            RetryableError,
            *("TransportError", "TimeoutError"),
            code="connection",
            hint="Google's token service or the network does not answer",
        ),
        row(
            AccessError,
            "GoogleAuthError",
            hint="set credentials_file, or run `gcloud auth application-default login`, or attach "
            "a service account to this machine",
        ),
        row(RetryableError, "NewConnectionError", code="unreachable", hint=_NETWORK_HINT),
        row(RetryableError, "RequestException", "ConnectionError", code="connection"),
    )
)
"""By the names of an exception's classes: of google-auth, urllib3, requests and Python."""


@contextlib.contextmanager
def google_errors(
    what: str, *, missing: str, access: str, checking: bool = False
) -> Iterator[None]:
    """Convert errors of the client libraries.

    Args:
        what: the thing that is used, such as `bucket flows`.
        missing: what to do if it does not exist.
        access: which right is needed.
        checking: whether this is `validate --connect`, where a host that does not answer is
            unavailable; in a run it may answer later.
    """
    try:
        yield
    except KtransError:
        raise
    except Exception as error:
        made = converted(error, what, missing=missing, access=access)
        if made is None:
            raise
        raise (as_unavailable(made) if checking else made) from error


def converted(error: BaseException, what: str, *, missing: str, access: str) -> KtransError | None:
    """Return the error of ktrans for one of Google's; None if it is not one of those."""
    from google.api_core import exceptions as api

    if isinstance(error, api.RetryError) and error.cause is not None:
        error = error.cause
    said = f"{what}: {_text(error)}"
    if not isinstance(error, api.GoogleAPICallError):
        return _CLIENT.of_exception(_reason(error), said)
    status = error.code if isinstance(error.code, int) else getattr(error.code, "value", None)
    name = getattr(error.grpc_status_code, "name", None)
    made = _SERVICE.error(said, _why(error), name, status, retry_after_secs=asked_wait(error))
    if isinstance(made, AccessError):
        made.hint = access
    elif isinstance(made, ConfigError):
        made.hint = missing
    return made


def asked_wait(error: Any) -> float | None:
    """Return the seconds that a service asks to wait: Retry-After, or gRPC's RetryInfo."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if isinstance(headers, Mapping):
        return retry_after(headers)
    for detail in getattr(error, "details", None) or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return None


def _why(error: Any) -> str | None:
    """Return the reason that the JSON of an HTTP answer gives, if it has one."""
    given = next(iter(error.errors or ()), None)
    return given.get("reason") if isinstance(given, dict) else None


def _reason(error: BaseException) -> BaseException:
    """Return the connection error of urllib3 that an error of requests stands for."""
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", None)
    return reason if isinstance(reason, Exception) and _is_no_connection(reason) else error


def _is_no_connection(error: Exception) -> bool:
    from urllib3.exceptions import NewConnectionError

    return isinstance(error, NewConnectionError)


def _text(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "message", None) or error).split())
    return text[:500] or type(error).__name__
