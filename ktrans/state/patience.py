"""Requests to a bucket are made again while what hinders them may pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from ktrans.api import RetryableError

R = TypeVar("R")

ATTEMPTS = 5
RETRY_ATTEMPTS = 10
"""Amid a run, whose epoch would be lost: with the waits between them, most of a minute."""

LONGEST_WAIT_SECS = 10.0


def with_retries(work: Callable[[], R], attempts: int = ATTEMPTS) -> R:
    """Do something again after a RetryableError, with growing waits.

    Raises:
        RetryableError: it has not passed.
    """
    grows = tenacity.wait_exponential_jitter(multiplier=0.3, max=LONGEST_WAIT_SECS, jitter=0.2)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_secs if isinstance(error, RetryableError) else None
        return min(max(grows(state), asked or 0.0), LONGEST_WAIT_SECS)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(RetryableError),
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        reraise=True,
    )(work)
