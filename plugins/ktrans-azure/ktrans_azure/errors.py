"""What Azure's answers mean to ktrans. One place, and no secret gets through it.

Source: Microsoft Learn, "Status and error codes" of Azure Storage and "Blob service error codes".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RejectError,
    RetryableError,
    RunError,
    SplitChangedError,
    UnavailableError,
)

_SIGNATURE = re.compile(r"(?i)\b(sig|AccountKey|SharedAccessSignature)=[^&;\s'\"]+")
_OF_PARENT = frozenset({"ContainerNotFound", "QueueNotFound"})
_ARCHIVED = frozenset({"BlobArchived", "BlobBeingRehydrated"})
_MOMENTARY = frozenset({408, 429, 500, 502, 503, 504})
_MISSING, _CONFLICT, _PRECONDITION, _RANGE = 404, 409, 412, 416
_REFUSED = frozenset({401, 403})

_ACCESS_HINTS = {
    "sas_token": "the signature may have expired or lack a right (reading needs Read and List): "
    "make a new one",
    "account_key": "the key may be mistyped or have been rotated, or the account may not allow "
    "shared keys",
    "connection_string": "its key may have been rotated, or its signature expired",
}
_ROLE_HINT = (
    "give the identity the role Storage Blob Data Reader (source) or Storage Blob Data "
    "Contributor (sink) on the container, and Storage Queue Data Contributor on a queue; new "
    "assignments take some minutes"
)
_NO_CREDENTIAL = (
    "no identity was found here: log in with `az login`, set AZURE_CLIENT_ID and its fellows, "
    "assign a managed identity, or give account_key or sas_token"
)


def _sdk() -> Any:
    from azure.core import exceptions

    return exceptions


@contextmanager
def translated(
    what: str, way_in: str, *, parent: str | None = None, connecting: bool = False
) -> Iterator[None]:
    """Turn the SDK's errors into ktrans's.

    Args:
        what: what is being worked on, for messages.
        way_in: how the account is entered (`AccountConfig.way_in`).
        parent: the container or queue that it is in.
        connecting: a host that does not answer is told as such, not tried again.
    """
    try:
        yield
    except _sdk().AzureError as error:
        told = ours(error, what, way_in, parent=parent, connecting=connecting)
        # The SDK's own text may quote an address with a signature, which a traceback would show.
        cause = None if _SIGNATURE.search(str(error)) else error
        raise told from cause


def ours(
    error: Any, what: str, way_in: str, *, parent: str | None = None, connecting: bool = False
) -> KtransError:
    """Return the error of ktrans that stands for one of the SDK's."""
    status = getattr(error, "status_code", None)
    if status is None:
        return _unanswered(error, what, way_in, connecting=connecting)
    code = code_of(error)
    said = f"{what}: Azure answered {status} {code}".rstrip()
    if status in _REFUSED:
        return AccessError(said, hint=_ACCESS_HINTS.get(way_in, _ROLE_HINT))
    if status == _MISSING:
        return _missing(what, code, parent)
    if status in _MOMENTARY:
        return RetryableError(said, retry_after_secs=_retry_after(error), code="azure_busy")
    return _refused(said, what, status, code)


def code_of(error: Any) -> str:
    """Return the code that Azure answered with, or nothing."""
    name = getattr(error, "error_code", None) or ""
    return str(getattr(name, "value", name))


def _missing(what: str, code: str, parent: str | None) -> KtransError:
    if code in _OF_PARENT or (what == parent and code != "MessageNotFound"):
        return ConfigError(
            f"{parent or what} does not exist",
            code="azure_not_found",
            hint="check its name and the account; ktrans does not create it",
        )
    return SplitChangedError(f"{what} is gone", code="split_vanished")


def _refused(said: str, what: str, status: int, code: str) -> KtransError:
    if code in _ARCHIVED:
        return RejectError(
            f"{what} is in the archive tier",
            code="azure_archived",
            hint="move it to the hot or cool tier, then run `ktrans rejects replay`",
        )
    if status in {_PRECONDITION, _RANGE}:
        return SplitChangedError(f"{what} was changed after it was planned")
    if status == _CONFLICT and "Lease" in code:
        return RetryableError(f"{what} is leased by another writer", code="azure_leased")
    return RunError(said, code="azure_refused")


def _unanswered(error: Any, what: str, way_in: str, *, connecting: bool) -> KtransError:
    if isinstance(error, _sdk().ClientAuthenticationError):
        hint = _ACCESS_HINTS.get(way_in, _NO_CREDENTIAL)
        return AccessError(f"{what}: no usable credentials for Azure", hint=hint)
    text = _without_secrets(error).strip().splitlines()
    said = f"{what}: no answer from Azure ({type(error).__name__}: {text[0] if text else ''})"
    if connecting:
        return UnavailableError(
            said, hint="check the account's name, the network, the proxy and the firewall"
        )
    return RetryableError(said, code="azure_no_answer")


def _without_secrets(error: BaseException) -> str:
    return _SIGNATURE.sub(r"\1=...", str(error))


def _retry_after(error: Any) -> float | None:
    """Read how long Azure asks to wait: seconds, or milliseconds in its own header."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    for name, unit in (("retry-after-ms", 1e-3), ("x-ms-retry-after-ms", 1e-3), ("Retry-After", 1)):
        text = headers.get(name)
        if text is not None and str(text).strip().isdigit():
            return float(text) * unit
    return None
