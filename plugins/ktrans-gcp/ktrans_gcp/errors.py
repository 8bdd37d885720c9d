"""What Google's answers mean to a pipeline: try again, no access, gone, or a mistake in the file.

Source: Google Cloud documentation, "Cloud Storage: HTTP status and error codes" and "Pub/Sub: error
codes"; AIP-193 for the details of gRPC errors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RetryableError,
    RunError,
    UnavailableError,
)

_PASSING = {408, 429, 500, 502, 503, 504}
_PASSING_GRPC = {"ABORTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"}


@contextlib.contextmanager
def google_errors(what: str, *, missing: str, access: str) -> Iterator[None]:
    """Turn what the client libraries raise into errors that say what to do.

    Args:
        what: the thing that was asked for, such as `bucket flows`.
        missing: what to do if it does not exist.
        access: which right is needed.

    Raises:
        RetryableError: may pass by itself (timeouts, 429, 5xx), with the wait that was asked for.
        UnavailableError: the host cannot be reached at all.
        AccessError: no permission, or no usable credentials.
        ConfigError: it does not exist, or the request makes no sense.
    """
    try:
        yield
    except KtransError:
        raise
    except Exception as error:
        told = translated(error, what, missing=missing, access=access)
        if told is None:
            raise
        raise told from error


def translated(error: BaseException, what: str, *, missing: str, access: str) -> KtransError | None:
    """Return the error that stands for one of Google's; None if it is none of theirs."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    if isinstance(error, api.RetryError) and error.cause is not None:
        error = error.cause
    if isinstance(error, (auth.TransportError, auth.TimeoutError)):
        return RetryableError(f"{what}: Google's token service does not answer: {_words(error)}")
    if isinstance(error, auth.GoogleAuthError):
        return AccessError(
            f"{what}: no usable Google credentials: {_words(error)}",
            hint="set credentials_file, or run `gcloud auth application-default login`, or attach "
            "a service account to this machine",
        )
    if isinstance(error, api.GoogleAPICallError):
        return _answered(error, what, missing=missing, access=access)
    return _unanswered(error, what)


def _answered(error: Any, what: str, *, missing: str, access: str) -> KtransError:
    from google.api_core import exceptions as api

    said = f"{what}: {_words(error)}"
    status = error.code if isinstance(error.code, int) else getattr(error.code, "value", 0)
    name = getattr(error.grpc_status_code, "name", "")
    if isinstance(error, api.ServiceUnavailable) and name == "UNAVAILABLE" and _no_host(error):
        return UnavailableError(said, hint="check the endpoint, the name server and the firewall")
    if status in _PASSING or name in _PASSING_GRPC:
        return RetryableError(said, retry_after_secs=retry_after(error))
    if status in (401, 403):
        return AccessError(said, hint=access)
    if status == 404:  # noqa: PLR2004  HTTP's own numbers
        return ConfigError(said, code="not_found", hint=missing)
    if status in (400, 405, 409, 411, 412, 413, 416, 428):
        return RunError(said, code="refused")
    return RunError(said)


def _unanswered(error: BaseException, what: str) -> KtransError | None:
    """Judge what happened below HTTP: connections refused, reset, timed out, names not found."""
    import requests

    said = f"{what}: {_words(error)}"
    if isinstance(error, requests.exceptions.ConnectionError):
        if _no_host(error):
            return UnavailableError(
                said, hint="check the endpoint, the name server and the firewall"
            )
        return RetryableError(said)
    if isinstance(error, (requests.exceptions.RequestException, ConnectionError, TimeoutError)):
        return RetryableError(said)
    return None


def retry_after(error: Any) -> float | None:
    """Read how long the other side wants to be left alone: Retry-After, or gRPC's RetryInfo."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None)
    if isinstance(headers, Mapping):
        return seconds_of(headers.get("Retry-After"))
    for detail in getattr(error, "details", None) or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return None


def seconds_of(text: str | None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date (RFC 9110, section 10.2.3)."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(ValueError):
        then = parsedate_to_datetime(text)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    return None


def _no_host(error: BaseException) -> bool:
    text = str(error).lower()
    return any(
        words in text
        for words in (
            "name resolution",
            "name or service not known",
            "nodename nor servname",
            "dns resolution failed",
            "failed to connect to all addresses",
            "connection refused",
            "no route to host",
        )
    )


def _words(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "message", None) or error).split())
    return text[:500] or type(error).__name__
