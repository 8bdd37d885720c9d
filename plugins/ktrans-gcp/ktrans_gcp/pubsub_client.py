"""Connections to Pub/Sub."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ktrans.api import Context, Health
from ktrans_gcp.google_auth import GoogleConfig, credentials

_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
RETRY_SECS = 60.0
_CHECK_SECS = 15.0


def subscriber(config: GoogleConfig, context: Context) -> Any:
    """Connect to receive: Google's own client, without its threads and caches."""
    from google.pubsub_v1 import SubscriberClient

    return _client(SubscriberClient, config, context)


def publisher(config: GoogleConfig, context: Context) -> Any:
    from google.pubsub_v1 import PublisherClient

    return _client(PublisherClient, config, context)


def _client(client: Any, config: GoogleConfig, context: Context) -> Any:
    import grpc

    emulator = os.environ.get("PUBSUB_EMULATOR_HOST") if config.endpoint is None else None
    plain = (config.endpoint or "").removeprefix("http://")
    if emulator or plain != (config.endpoint or ""):
        channel = grpc.insecure_channel(emulator or plain.rstrip("/"), options=_ANY_SIZE)
        return client(transport=client.get_transport_class("grpc")(channel=channel))
    options = {}
    if config.endpoint:
        options["api_endpoint"] = config.endpoint.removeprefix("https://").rstrip("/")
    return client(credentials=credentials(config, context), client_options=options)


def look(get: Callable[..., Any], client: Any, name: str, right: str) -> Any:
    """Look at a topic or subscription; None if only the right to use it was given.

    That does not include the right to look: then the right to use it is tested.

    Raises:
        google.api_core.exceptions.PermissionDenied: it may not be used.
    """
    from google.api_core import exceptions as api

    try:
        return get(retry=None, timeout=_CHECK_SECS)
    except api.PermissionDenied:
        request = {"resource": name, "permissions": [right]}
        if not client.test_iam_permissions(request=request, timeout=_CHECK_SECS).permissions:
            raise
        return None


def retrying(
    stopping: Callable[[], bool],
    health: Health,
    secs: float = RETRY_SECS,
    *,
    timeouts: bool,
) -> Any:
    """Return the retry policy of calls that may be made twice.

    Args:
        stopping: once true, nothing is tried again.
        health: takes reports of failed attempts.
        secs: how long to try.
        timeouts: whether a call that took too long is tried again.
    """
    from google.api_core import exceptions as api
    from google.api_core.retry import Retry

    passing: tuple[type[Exception], ...] = (
        api.Aborted,
        api.InternalServerError,
        api.ServiceUnavailable,
        api.TooManyRequests,
        api.Unknown,
    )
    if timeouts:
        passing = (*passing, api.DeadlineExceeded)

    def worth_another(error: Exception) -> bool:
        return isinstance(error, passing) and not stopping()

    return Retry(
        predicate=worth_another,
        initial=0.1,
        maximum=5.0,
        multiplier=2.0,
        timeout=secs,
        on_error=health.failed,
    )
