"""What botocore and S3 say when something goes wrong, as errors of ktrans.

Codes: Amazon S3 API Reference, "Error responses"; EC2, SQS and STS API References, "Common errors".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RejectError,
    RetryableError,
    SplitChangedError,
    UnavailableError,
)


@dataclass(frozen=True, slots=True)
class _Case:
    """What to make of some codes (or exceptions of the SDK, by name)."""

    codes: frozenset[str]
    kind: type[KtransError]
    code: str | None = None
    hint: str | None = None
    field: str | None = None

    def error(self, said: str) -> KtransError:
        if issubclass(self.kind, ConfigError):
            return self.kind(said, field=self.field, code=self.code, hint=self.hint)
        return self.kind(said, code=self.code, hint=self.hint)


def _case(
    codes: str,
    kind: type[KtransError],
    code: str | None = None,
    hint: str | None = None,
    field: str | None = None,
) -> _Case:
    return _Case(frozenset(codes.split()), kind, code, hint, field)


_SERVICE = (
    _case(
        "ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired",
        AccessError,
        hint="the session is over: log in again, or use a role, which is renewed by itself",
    ),
    _case(
        "RequestTimeTooSkewed",
        AccessError,
        hint="this machine's clock is wrong: set it by NTP",
    ),
    _case(
        "InvalidAccessKeyId InvalidClientTokenId InvalidToken SignatureDoesNotMatch AuthFailure"
        " UnrecognizedClientException InvalidSecurity IncompleteSignature",
        AccessError,
        hint="check the access key and its secret",
    ),
    _case(
        "AccessDenied AccessDeniedException AllAccessDisabled AccountProblem UnauthorizedOperation"
        " KMS.AccessDeniedException KMS.DisabledException 401 403",
        AccessError,
        hint="grant the rights that the README of ktrans-aws lists",
    ),
    _case(
        "InvalidObjectState",
        RejectError,
        "archived",
        "restore the object, and read it by a run with a state of its own; `since` leaves out days"
        " that are archived",
    ),
    _case(
        "NoSuchBucket InvalidBucketName",
        ConfigError,
        "bucket_missing",
        "check the name of the bucket, and `endpoint_url`",
        "bucket",
    ),
    _case(
        "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist InvalidAddress",
        ConfigError,
        "queue_missing",
        "check the queue's URL and its region",
        "queue_url",
    ),
    _case(
        "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException"
        " 301 307 308",
        ConfigError,
        "other_region",
        "set `region` to that of the bucket",
        "region",
    ),
    _case("NoSuchKey NoSuchVersion 404", SplitChangedError, "split_vanished"),
    _case("PreconditionFailed InvalidRange 412 416", SplitChangedError),
    _case(
        "SlowDown RequestTimeout RequestTimeoutException InternalError InternalFailure"
        " ServiceUnavailable OperationAborted ConditionalRequestConflict BandwidthLimitExceeded"
        " RequestLimitExceeded PriorRequestNotComplete BadDigest XAmzContentSHA256Mismatch"
        " OverLimit Throttling ThrottlingException ThrottledException RequestThrottled"
        " TooManyRequestsException 408 409 429 500 502 503 504",
        RetryableError,
        "busy",
    ),
)
"""By code, or by status where the code says nothing; the first that fits."""

_SDK = (
    _case(
        "NoCredentialsError PartialCredentialsError",
        AccessError,
        hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine"
        " a role; `anonymous: true` reads public buckets",
    ),
    _case(
        "CredentialRetrievalError TokenRetrievalError SSOError RefreshWithMFAUnsupportedError"
        " MetadataRetrievalError",
        AccessError,
        hint="log in again, or check the profile's credentials",
    ),
    _case("ProfileNotFound", ConfigError, hint="see ~/.aws/config", field="profile"),
    _case(
        "NoRegionError InvalidRegionError",
        ConfigError,
        hint="set `region`, or AWS_DEFAULT_REGION",
        field="region",
    ),
    _case("ParamValidationError UnsupportedParameterError", ConfigError),
    _case("SSLError", UnavailableError, hint="AWS_CA_BUNDLE names the certificates to trust"),
    _case(
        "EndpointConnectionError ProxyConnectionError ConnectTimeoutError",
        RetryableError,
        "unreachable",
        "check `endpoint_url`, `region`, the proxy and the network",
    ),
    _case("BotoCoreError HTTPError OSError", RetryableError, "connection"),
)
"""By the names of an exception's classes."""


@contextmanager
def aws_errors(what: str, *, checking: bool = False) -> Iterator[None]:
    """Turn errors of the SDK and of the connection into ours.

    Args:
        what: was done to what, for the message: "read s3://bucket/key".
        checking: whether this is `validate --connect`, where a host that cannot be reached is
            simply not there; amid a run it may come back.
    """
    try:
        yield
    except KtransError:
        raise
    except Exception as error:
        ours = as_ours(error, what)
        if ours is None:
            raise
        if checking and ours.code in {"unreachable", "connection"}:
            ours = UnavailableError(ours.message, code=ours.code, hint=ours.hint)
        raise ours from error


def as_ours(error: Exception, what: str) -> KtransError | None:
    """Return our error for one of the SDK's; None if it is not one of those."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return _of_service(response, f"cannot {what}")
    said = f"cannot {what}: {error}"
    names = {kind.__name__ for kind in type(error).__mro__}
    for case in _SDK:
        if case.codes & names:
            return case.error(said)
    if isinstance(error, ValueError) and "endpoint" in str(error):
        hint = "give it with http:// or https://"
        return ConfigError(f"{error}", field="endpoint_url", hint=hint)
    return None


def code_of(error: Exception) -> str:
    """Return the code that a service answered with, or nothing."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _of_service(response: dict[str, Any], said: str) -> KtransError:
    told, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, status = str(told.get("Code", "")), str(meta.get("HTTPStatusCode", ""))
    said = f"{said}: {code} {told.get('Message', '')}".rstrip(". ")
    for known in (code, status):
        for case in _SERVICE:
            if known not in case.codes:
                continue
            made = case.error(said)
            if isinstance(made, RetryableError):
                made.retry_after_secs = _retry_after(meta)
            return made
    return ConfigError(said, code="refused")


def _retry_after(meta: dict[str, Any]) -> float | None:
    text = meta.get("HTTPHeaders", {}).get("retry-after", "")
    try:
        return max(float(text), 0.0)
    except ValueError:
        return None
