"""Retries of a run: the pipeline's settings for `ktrans.kit.retry`, and waits that a stop ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ktrans.api import InterruptedRunError
from ktrans.config.settings import EngineSettings
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.observer import Observer
from ktrans.kit.retry import FailedAttempt, Retry, with_retries

T = TypeVar("T")


def retry_of(settings: EngineSettings, *, forever: bool = False) -> Retry:
    """Return how often and how long a pipeline retries."""
    return Retry(
        attempts=None if forever else settings.attempts,
        first_wait_secs=settings.retry_wait,
        max_wait_secs=settings.retry_max_wait,
    )


def retry_until_stopped(
    call: Callable[[], T],
    what: str,
    retry: Retry,
    *,
    cancellation: Cancellation,
    observer: Observer,
) -> T:
    """Call something until it succeeds, fails for good, or fails too often.

    The observer is notified of each failed attempt.

    Raises:
        InterruptedRunError: the run was stopped meanwhile.
    """

    def before_wait(failed: FailedAttempt) -> None:
        if cancellation.stop.is_set():
            raise InterruptedRunError("the run was stopped") from failed.error
        observer.retrying(what, failed.number, failed.wait_secs, failed.error)

    return with_retries(call, retry, sleep=cancellation.sleep, before_wait=before_wait)
