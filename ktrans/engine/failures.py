"""What to do about an error: try again, leave the split out, or stop."""

from __future__ import annotations

import errno

from ktrans.api import (
    AccessError,
    KtransError,
    RejectError,
    RetryableError,
    Split,
)
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Quarantine

FINAL_ERRNO = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


class ReadError(Exception):
    """A split could not be read or decoded; `__cause__` is why. Never leaves the engine."""

    def __init__(self, split: Split, cause: Exception) -> None:
        super().__init__(str(cause))
        self.split = split
        self.cause = cause


def may_pass(error: BaseException) -> bool:
    """Tell whether the same work may succeed if it is tried again."""
    if isinstance(error, KtransError):
        return isinstance(error, RetryableError)
    if isinstance(error, PermissionError):
        return False
    if isinstance(error, OSError):
        return error.errno not in FINAL_ERRNO
    return isinstance(error, TimeoutError)


def exclusion(split: Split, error: Exception) -> Quarantine:
    """Say how a split that cannot be read is left out of its epoch."""
    rejected = isinstance(error, RejectError)
    return Quarantine(
        split.key,
        split.uri,
        "rejected" if rejected else "waiting",
        _code(error),
        _of_split(split, error),
    )


def is_access(code: str) -> bool:
    """Tell whether an exclusion's code speaks of permissions."""
    return code == AccessError.default_code


def as_ktrans(error: BaseException) -> KtransError:
    """Give any error the form that users see: a code, a message, a hint."""
    if isinstance(error, KtransError):
        return error
    if isinstance(error, ReadError):
        told = as_ktrans(error.cause)
        told.component = told.component or "source"
        return told
    if isinstance(error, PermissionError):
        made: KtransError = AccessError(_reason(error), hint="check the permissions of that path")
    elif isinstance(error, OSError):
        made = RetryableError(_reason(error), code="io")
        if error.errno == errno.ENOSPC:
            made = RetryableError(
                _reason(error), code="disk_full", hint="make room, then run again: it resumes"
            )
    else:
        made = KtransError(
            _reason(error),
            code="defect",
            hint="this is a defect in ktrans or a plugin; run with --debug to see where, and "
            "report it",
        )
    made.__cause__ = error
    return made


def _code(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return AccessError.default_code
    if isinstance(error, KtransError):
        return error.code
    return "io" if isinstance(error, OSError) else "defect"


def _of_split(split: Split, error: Exception) -> str:
    """Give the reason without the split's own name, which stands beside it, and with the fix."""
    reason = _reason(error).removeprefix(split.uri).lstrip(": ")
    hint = error.hint if isinstance(error, KtransError) else None
    return f"{reason}; {hint}" if hint else reason


def _reason(error: BaseException) -> str:
    return redact(_words(error))


def _words(error: BaseException) -> str:
    if isinstance(error, KtransError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{name}"
    return f"{type(error).__name__}: {error}"
