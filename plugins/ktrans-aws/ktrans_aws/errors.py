"""Errors of AWS and its SDK as errors of ktrans.

Codes: Amazon S3 API Reference, "Error responses"; EC2, SQS and STS API References, "Common errors".
"""

from __future__ import annotations

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
from ktrans.kit.errors import HTTP, ErrorTable, as_unavailable, retry_after, row

_SERVICE = HTTP.extended(
    row(
        AccessError,
        *["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"],
        hint="the session has expired: log in again, or use a role, which is renewed by itself",
    ),
    row(AccessError, "RequestTimeTooSkewed", hint="set this machine's clock (NTP)"),
    row(
        AccessError,
        *["InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch"],
        *["AuthFailure", "UnrecognizedClientException", "InvalidSecurity", "IncompleteSignature"],
        hint="check the access key and its secret",
    ),
    row(
        AccessError,
        *["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem"],
        *["UnauthorizedOperation", "KMS.AccessDeniedException", "KMS.DisabledException"],
        *["KMSAccessDeniedException", "KMSDisabledException", "KMSNotFoundException"],
        *["KMSOptInRequired", "KMSInvalidStateException", "KmsAccessDenied", "KmsDisabled"],
        *(401, 403),
        hint="grant the rights that the README of ktrans-aws lists",
    ),
    row(
        RejectError,
        "InvalidObjectState",
        code="archived",
        hint="restore the object, and read it by a run with a state of its own; `since` skips days"
        " that are archived",
    ),
    row(
        ConfigError,
        *["NoSuchBucket", "InvalidBucketName"],
        code="bucket_missing",
        hint="check the name of the bucket, and `endpoint_url`",
        field="bucket",
    ),
    row(
        ConfigError,
        *["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"],
        code="queue_missing",
        hint="check the queue's URL and its region",
        field="queue_url",
    ),
    row(
        ConfigError,
        "ResourceNotFoundException",
        code="not_found",
        hint="check the name, and `region`",
    ),
    row(
        ConfigError,
        *["PermanentRedirect", "AuthorizationHeaderMalformed"],
        *("IllegalLocationConstraintException", 301, 307, 308),
        code="other_region",
        hint="set `region` to that of the bucket",
        field="region",
    ),
    row(SplitChangedError, *["NoSuchKey", "NoSuchVersion"], 404, code="split_vanished"),
    row(SplitChangedError, *["PreconditionFailed", "InvalidRange"]),
    row(
        RetryableError,
        *[
            "SlowDown",
            "RequestTimeout",
            "RequestTimeoutException",
            "InternalError",
            "InternalFailure",
        ],
        *["ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict"],
        *["BandwidthLimitExceeded", "RequestLimitExceeded", "PriorRequestNotComplete", "BadDigest"],
        *["XAmzContentSHA256Mismatch", "OverLimit", "Throttling", "ThrottlingException"],
        *["ThrottledException", "RequestThrottled", "TooManyRequestsException"],
        *["ProvisionedThroughputExceededException", "LimitExceededException"],
        *["ServiceUnavailableException", "InternalFailureException", "KMSThrottlingException"],
        *["KMS.ThrottlingException", "KmsThrottled", "ResourceInUseException"],
        code="busy",
    ),
    otherwise=row(ConfigError, code="refused"),
)
"""By code, or by status where the code is unknown."""

_SDK = ErrorTable(
    (
        row(
            AccessError,
            *["NoCredentialsError", "PartialCredentialsError"],
            hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine"
            " a role; `anonymous: true` reads public buckets",
        ),
        row(
            AccessError,
            *["CredentialRetrievalError", "TokenRetrievalError", "SSOError"],
            *["RefreshWithMFAUnsupportedError", "MetadataRetrievalError"],
            hint="log in again, or check the profile's credentials",
        ),
        row(ConfigError, "ProfileNotFound", hint="see ~/.aws/config", field="profile"),
        row(
            ConfigError,
            *["NoRegionError", "InvalidRegionError"],
            hint="set `region`, or AWS_DEFAULT_REGION",
            field="region",
        ),
        row(ConfigError, *["ParamValidationError", "UnsupportedParameterError"]),
        row(UnavailableError, "SSLError", hint="AWS_CA_BUNDLE names the certificates to trust"),
        row(
            RetryableError,
            *["EndpointConnectionError", "ProxyConnectionError", "ConnectTimeoutError"],
            code="unreachable",
            hint="check `endpoint_url`, `region`, the proxy and the network",
        ),
        row(RetryableError, *["BotoCoreError", "HTTPError", "OSError"], code="connection"),
    ),
)
"""By the names of an exception's classes."""


@contextmanager
def aws_errors(what: str, *, checking: bool = False) -> Iterator[None]:
    """Convert errors of the SDK and of the connection.

    Args:
        what: was done to what, for the message: "read s3://bucket/key".
        checking: whether this is `validate --connect`, where a service that does not answer is
            unavailable; in a run it may answer later.
    """
    try:
        yield
    except KtransError:
        raise
    except Exception as error:
        made = converted(error, what)
        if made is None:
            raise
        raise (as_unavailable(made) if checking else made) from error


def converted(error: Exception, what: str) -> KtransError | None:
    """Return the error of ktrans for one of the SDK; None if it is not one of those."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return _SDK.of_exception(error, f"cannot {what}: {error}")
    meta: dict[str, Any] = response.get("ResponseMetadata", {})
    code = code_of(error)
    said = f"cannot {what}: {code} {response.get('Error', {}).get('Message', '')}".rstrip(". ")
    asked = retry_after(meta.get("HTTPHeaders", {}))
    return _SERVICE.error(said, code, meta.get("HTTPStatusCode"), retry_after_secs=asked)


def code_of(error: Exception) -> str:
    """Return the code that a service answered with, or nothing."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def part_error(what: str, code: str, message: str, *, lasting: bool = False) -> KtransError:
    """Return why a part of a request was not accepted.

    Args:
        what: was done, for the message.
        code: of the part.
        message: of the service.
        lasting: whether the service says that it would not accept the part later either.
    """
    said = f"cannot {what}: {code} {message}".rstrip(". ")
    found = _SERVICE.find(code)
    if found is not None:
        return found.error(said)
    if lasting:
        return RunError(said, code="refused")
    return RetryableError(said, code="busy")
