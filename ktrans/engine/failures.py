"""What to do about an error: try again, quarantine the split, or stop the run."""

from __future__ import annotations

import errno

from ktrans.api import (
    AccessError,
    ExitCode,
    KtransError,
    RejectError,
    RetryableError,
    RunError,
    Split,
)
from ktrans.kit.disk import DISK_FULL
from ktrans.kit.memory import CODE, HINT, out_of_memory
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Quarantine

FINAL_ERRNO = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


class ReadError(Exception):
    """A split could not be read or decoded; `cause` is the reason. Never leaves the engine.

    `others` are further splits of the same attempt.
    """

    def __init__(self, split: Split, cause: Exception) -> None:
        super().__init__(str(cause))
        self.split = split
        self.cause = cause
        self.others: list[ReadError] = []

    @property
    def retry_after_secs(self) -> float | None:
        """The wait that the other side asked for."""
        return getattr(self.cause, "retry_after_secs", None)


class WorkerDiedError(RunError):
    """A thread of the run has ended in the middle of its work, as when there is no memory left."""

    exit_code = ExitCode.TRY_LATER
    default_code = CODE


def is_retryable(error: BaseException) -> bool:
    """Return whether the same work may succeed if it is tried again."""
    if out_of_memory(error):
        return False
    if isinstance(error, ReadError):
        return is_retryable(error.cause)
    if isinstance(error, KtransError):
        return isinstance(error, RetryableError)
    if isinstance(error, PermissionError):
        return False
    if isinstance(error, OSError):
        return error.errno not in FINAL_ERRNO
    return isinstance(error, TimeoutError)


def quarantine_for(error: ReadError) -> Quarantine:
    """Return the record that quarantines a split that cannot be read."""
    split, cause = error.split, error.cause
    kind = "rejected" if isinstance(cause, RejectError) else "waiting"
    converted = to_ktrans_error(cause)
    reason = converted.message.removeprefix(split.uri).lstrip(": ")  # the record has the name
    hint = cause.hint if isinstance(cause, KtransError) else None
    return Quarantine(
        split.key, split.uri, kind, converted.code, f"{reason}; {hint}" if hint else reason
    )


def to_ktrans_error(error: BaseException) -> KtransError:
    """Return an error in the form that users see: code, message, hint."""
    if out_of_memory(error):
        return _without_memory(error)
    if isinstance(error, KtransError):
        return error
    if isinstance(error, ReadError):
        cause = to_ktrans_error(error.cause)
        cause.component = cause.component or "source"
        return cause
    converted: KtransError
    if isinstance(error, PermissionError):
        converted = AccessError(_message(error), hint="check the permissions of that path")
    elif isinstance(error, OSError) and error.errno in DISK_FULL:
        converted = RetryableError(
            _message(error), code="disk_full", hint="free some space, then run again: it resumes"
        )
    elif isinstance(error, OSError):
        converted = RetryableError(_message(error), code="io")
    else:
        converted = KtransError(
            _message(error),
            code="defect",
            hint="this is a defect in ktrans or a plugin; run with --debug to see where, and "
            "report it",
        )
    converted.__cause__ = error
    return converted


def _without_memory(error: BaseException) -> KtransError:
    converted = RetryableError(
        f"there is not enough memory: {_message(error)}",
        code=CODE,
        hint=HINT,
    )
    converted.__cause__ = error
    return converted


def _message(error: BaseException) -> str:
    if isinstance(error, KtransError):
        text = error.message
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = f"{type(error).__name__}: {error}"
    return redact(text)
