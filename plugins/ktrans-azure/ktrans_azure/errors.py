"""Azure's answers as errors of ktrans; no secret gets into them.

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
)
from ktrans.kit.errors import HTTP, as_unavailable, retry_after, row

_SIGNATURE = re.compile(r"(?i)\b(sig|AccountKey|SharedAccessSignature)=[^&;\s'\"]+")
_MISSING = row(
    ConfigError, code="not_found", hint="check its name and the account; ktrans does not create it"
)
_SERVICE = HTTP.extended(
    row(
        RejectError,
        *["BlobArchived", "BlobBeingRehydrated"],
        code="archived",
        hint="move it to the hot or cool tier, then run `ktrans rejects replay`",
    ),
    row(
        RetryableError,
        *["LeaseAlreadyPresent", "LeaseIdMissing", "LeaseIdMismatchWithBlobOperation"],
        code="busy",
        hint="another writer has leased the blob: let it finish, or break the lease",
    ),
    row(SplitChangedError, 404, code="split_vanished"),
    row(RunError, 409, code="refused"),
)

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
    "no identity was found here: log in with `az login`, set AZURE_CLIENT_ID and related variables, "
    "assign a managed identity, or give account_key or sas_token"
)


@contextmanager
def azure_errors(
    what: str, authentication: str, *, parent: str | None = None, checking: bool = False
) -> Iterator[None]:
    """Convert the errors of the SDK.

    Args:
        what: the thing that is used, for messages.
        authentication: how (`AccountConfig.authentication`).
        parent: the container or queue that it is in.
        checking: whether this is `validate --connect`, where a host that does not answer is
            unavailable; in a run it may answer later.
    """
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as error:
        made = converted(error, what, authentication, parent=parent)
        # The SDK's own text may quote an address with a signature, which a traceback would show.
        cause = None if _SIGNATURE.search(str(error)) else error
        raise (as_unavailable(made) if checking else made) from cause


def converted(
    error: Any, what: str, authentication: str, *, parent: str | None = None
) -> KtransError:
    """Return the error of ktrans for one of the SDK."""
    status = getattr(error, "status_code", None)
    if status is None:
        return _unanswered(error, what, authentication)
    code = code_of(error)
    if code in {"ContainerNotFound", "QueueNotFound"} or (
        status == 404 and what == parent and code != "MessageNotFound"  # noqa: PLR2004  # HTTP
    ):
        return _MISSING.error(f"{parent or what} does not exist")
    response = getattr(error, "response", None)
    asked = retry_after(getattr(response, "headers", None) or {})
    said = f"{what}: Azure answered {status} {code}".rstrip()
    made = _SERVICE.error(said, code, status, retry_after_secs=asked)
    if isinstance(made, AccessError):
        made.hint = _ACCESS_HINTS.get(authentication, _ROLE_HINT)
    return made


def code_of(error: Any) -> str:
    """Return the code that Azure answered with, or nothing."""
    name = getattr(error, "error_code", None) or ""
    return str(getattr(name, "value", name))


def _unanswered(error: Any, what: str, authentication: str) -> KtransError:
    from azure.core.exceptions import ClientAuthenticationError

    if isinstance(error, ClientAuthenticationError):
        hint = _ACCESS_HINTS.get(authentication, _NO_CREDENTIAL)
        return AccessError(f"{what}: no usable credentials for Azure", hint=hint)
    text = _SIGNATURE.sub(r"\1=...", str(error)).strip().splitlines()
    return RetryableError(
        f"{what}: no answer from Azure ({type(error).__name__}: {text[0] if text else ''})",
        code="connection",
        hint="check the account's name, the network, the proxy and the firewall",
    )
