"""How long to wait before the next attempt at something that may pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from ktrans.api import InterruptedRunError, RetryableError
from ktrans.config.model import EngineSettings
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.observer import Observer

T = TypeVar("T")


def waiting_time(
    settings: EngineSettings, state: tenacity.RetryCallState, error: BaseException | None
) -> float:
    """Give the seconds to wait: growing and jittered, and no less than the other side asked for."""
    first, longest = settings.retry_wait, settings.retry_max_wait
    jittered = tenacity.wait_exponential(multiplier=first, max=longest)(state)
    jittered += tenacity.wait_random(0, first)(state)
    asked = error.retry_after_secs if isinstance(error, RetryableError) else None
    return max(jittered, asked or 0.0)


def with_retries(
    call: Callable[[], T],
    what: str,
    *,
    settings: EngineSettings,
    cancellation: Cancellation,
    observer: Observer,
    forever: bool,
) -> T:
    """Call something until it succeeds, fails for good, or fails too often.

    Args:
        call: raises RetryableError for what may pass.
        what: for the observer.
        settings: how often, and how long to wait.
        cancellation: ends the waiting.
        observer: is told of each failed attempt.
        forever: try on and on; otherwise `engine.attempts` times.

    Raises:
        InterruptedRunError: the run was told to stop meanwhile.
    """

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if cancellation.stop.is_set():
            raise InterruptedRunError("the run was told to stop") from error
        wait = state.next_action.sleep if state.next_action else 0.0
        if error is not None:
            observer.retrying(what, state.attempt_number, wait, error)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(RetryableError),
        stop=tenacity.stop_never if forever else tenacity.stop_after_attempt(settings.attempts),
        wait=lambda state: waiting_time(
            settings, state, state.outcome.exception() if state.outcome else None
        ),
        sleep=cancellation.sleep,
        before_sleep=tell,
        reraise=True,
    )
    return retrying(call)
