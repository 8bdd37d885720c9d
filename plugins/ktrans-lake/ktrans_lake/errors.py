"""Turns errors of the libraries into errors of ktrans, and repeats what may pass."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    InterruptedRunError,
    KtransError,
    RetryableError,
)
from ktrans.kit.retry import Retry, interruptible_sleep, may_pass, with_retries

R = TypeVar("R")

_DENIED = re.compile(
    r"status(?: code)?:? 40[13]|forbidden|unauthorized|access ?denied|access_denied|permission denied|not authorized"
    r"|invalidaccesskeyid|signaturedoesnotmatch|expiredtoken|authentication failed|missing credentials"
    r"|permissionerror",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"nosuchbucket|no such bucket|bucket does not exist|unable to open database file"
    r"|could not parse|can't load plugin|no module named|unsupported|invalid (url|uri)",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_SECRETS = re.compile(r"(://[^/\s:@]*):[^@\s/]+@")
_LONGEST = 400
_CONFLICTS = Retry(attempts=None, total_secs=120, first_wait_secs=0.05, max_wait_secs=3)
_OUTAGE = Retry(attempts=5, first_wait_secs=0.5, max_wait_secs=20)


class ConflictError(RetryableError):
    """Another writer committed meanwhile: look at the table again."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: another writer commits at the same time, again and again",
            code="table_conflict",
            hint="the next run tries again",
        )


def text_of(error: BaseException) -> str:
    """Return an error's text, in one line, without passwords of addresses."""
    text = " ".join(_COLOURS.sub("", str(error)).split()) or type(error).__name__
    return _SECRETS.sub(r"\1:***@", text)[:_LONGEST]


def converted(error: Exception, what: str) -> KtransError:
    """Return the error of ktrans for one of a library, by its type and its text."""
    if isinstance(error, KtransError):
        return error
    name, text = type(error).__name__, text_of(error)
    if name in {"UnauthorizedError", "ForbiddenError", "OAuthError"} or _DENIED.search(text):
        return AccessError(
            f"cannot {what}: {text}",
            hint="correct the credentials of the sink or of `table`, or ask for the rights",
        )
    if name in {"BadRequestError", "ArgumentError", "DeltaProtocolError"} or _WRONG.search(text):
        return ConfigError(
            f"cannot {what}: {text}",
            code="table_refused",
            hint="correct the options of `table` and of the sink",
        )
    return RetryableError(
        f"cannot {what}: {text}",
        code="unreachable",
        hint="if it is a matter of time, the next run resumes",
    )


@contextlib.contextmanager
def library_errors(what: str) -> Iterator[None]:
    """Turn errors into those of ktrans; `what` says what was tried."""
    try:
        yield
    except Exception as error:
        made = converted(error, what)
        if made is error:
            raise
        raise made from error


def repeated(work: Callable[[], R], context: Context) -> R:
    """Do something again while other writers are in the way, or the store or catalogue is away.

    Raises:
        InterruptedRunError: the run gives up its work.
    """
    return with_retries(
        lambda: against_others(work, context),
        _OUTAGE,
        retry_if=lambda error: may_pass(error) and not isinstance(error, ConflictError),
        sleep=interruptible_sleep(context.abandoned, context.clock),
        before_wait=lambda _: _stop_if_abandoned(context),
        health=context.health,
    )


def against_others(work: Callable[[], R], context: Context) -> R:
    """Do something again while other writers are in the way.

    Raises:
        InterruptedRunError: the run gives up its work.
    """
    return with_retries(
        work,
        _CONFLICTS,
        retry_if=lambda error: isinstance(error, ConflictError),
        sleep=interruptible_sleep(context.abandoned, context.clock),
        before_wait=lambda _: _stop_if_abandoned(context),
    )


def _stop_if_abandoned(context: Context) -> None:
    if context.abandoned():
        raise InterruptedRunError("the run was stopped before the table had its files")
