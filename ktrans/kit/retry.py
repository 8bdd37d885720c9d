"""Call something again while its failure may pass: one helper, with growing and jittered waits.

>>> from ktrans.api import RetryableError
>>> answers = [RetryableError("busy"), RetryableError("busy", retry_after_secs=2), "done"]
>>> def ask():
...     answer = answers.pop(0)
...     if isinstance(answer, Exception):
...         raise answer
...     return answer
>>> waits = []
>>> with_retries(ask, Retry(attempts=3, first_wait_secs=0.1), sleep=waits.append)
'done'
>>> len(waits), waits[1]
(2, 2.0)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import tenacity

from ktrans.api import Clock, Health, RetryableError
from ktrans.api.clock import CLOCK

R = TypeVar("R")
_TICK_SECS = 0.2


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try, and how long to wait between attempts.

    Attributes:
        attempts: the number of attempts; None for no limit.
        total_secs: no attempt begins later than this after the first one; None for no limit.
        first_wait_secs: the first wait; each following one is twice as long, up to
            `max_wait_secs`. A random part of up to `first_wait_secs` is added.
        max_wait_secs: the longest wait that is chosen here.
        max_asked_secs: the longest wait that the other side may ask for
            (`RetryableError.retry_after_secs`); None for no limit.
    """

    attempts: int | None = 5
    total_secs: float | None = None
    first_wait_secs: float = 0.3
    max_wait_secs: float = 10.0
    max_asked_secs: float | None = None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed and is followed by another one.

    Attributes:
        number: counts attempts, from 1.
        wait_secs: how long the wait before the next attempt is.
        error: why it failed.
    """

    number: int
    wait_secs: float
    error: BaseException


def may_pass(error: BaseException) -> bool:
    """Return whether an error is a RetryableError."""
    return isinstance(error, RetryableError)


def with_retries(
    work: Callable[[], R],
    retry: Retry = Retry(),
    *,
    retry_if: Callable[[BaseException], bool] = may_pass,
    sleep: Callable[[float], None] | None = None,
    before_wait: Callable[[FailedAttempt], object] | None = None,
    health: Health | None = None,
) -> R:
    """Call something until it succeeds, fails for good, or has failed too often.

    Args:
        work: what to call.
        retry: how often, and how long to wait.
        retry_if: whether an error may pass; by default whether it is a RetryableError. If the error
            has `retry_after_secs`, the wait is at least as long.
        sleep: waits for some seconds; may raise to give up. By default the machine's clock waits.
        before_wait: called after each failed attempt that is followed by another one; may raise to
            give up.
        health: takes a report of each failed attempt and of success; a component passes
            `context.health`, so that an outage is seen in logs, metrics and readiness.

    Raises:
        Exception: the error of the last attempt.
    """
    began = time.monotonic()
    try:
        made = work()
    except BaseException as error:
        if not retry_if(error):
            raise
        if retry.total_secs is not None:
            retry = replace(retry, total_secs=retry.total_secs - (time.monotonic() - began))
        made = _again(work, error, retry, retry_if, sleep, before_wait, health)
    if health is not None:
        health.works()
    return made


def _again(
    work: Callable[[], R],
    error: BaseException,
    retry: Retry,
    retry_if: Callable[[BaseException], bool],
    sleep: Callable[[float], None] | None,
    before_wait: Callable[[FailedAttempt], object] | None,
    health: Health | None,
) -> R:
    """Go on after a first attempt that failed with `error`; the arguments are those of `with_retries`."""
    first = [error]
    stops: list[tenacity.stop.stop_base] = [tenacity.stop_never]
    if retry.attempts is not None:
        stops.append(tenacity.stop_after_attempt(retry.attempts))
    if retry.total_secs is not None:
        stops.append(tenacity.stop_before_delay(retry.total_secs))

    def attempt() -> R:
        if first:
            raise first.pop()
        return work()

    def tell(state: tenacity.RetryCallState) -> None:
        error = _error(state)
        if health is not None and error is not None:
            health.failed(error)
        if before_wait is not None and error is not None:
            wait = state.next_action.sleep if state.next_action else 0.0
            before_wait(FailedAttempt(state.attempt_number, wait, error))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(retry_if),
        stop=tenacity.stop_any(*stops),
        wait=lambda state: wait_secs(retry, state.attempt_number, _error(state)),
        sleep=sleep or _pause,
        before_sleep=tell,
        reraise=True,
    )(attempt)


def with_progress(
    work: Callable[[], R],
    progress: Callable[[], object],
    retry: Retry,
    *,
    stopping: Callable[[], bool] = lambda: False,
    health: Health | None = None,
) -> R:
    """Call something that goes on where it stopped until it succeeds, or stops making progress.

    Args:
        work: what to call.
        progress: how far it came; once it has come further, attempts and time count anew.
        retry: how often, and how long to wait.
        stopping: once true, nothing is tried again.
        health: takes a report of each failed attempt and of success.

    Raises:
        Exception: the error of the last attempt.
    """

    def attempt() -> tuple[R] | None:
        before = progress()
        try:
            return (work(),)
        except RetryableError as error:
            if progress() == before or stopping():
                raise
            if health is not None:
                health.failed(error)
            return None

    def retry_if(error: BaseException) -> bool:
        return may_pass(error) and not stopping()

    while True:
        sleep = interruptible_sleep(stopping)
        made = with_retries(attempt, retry, retry_if=retry_if, sleep=sleep, health=health)
        if made is not None:
            return made[0]


def interruptible_sleep(
    stopping: Callable[[], bool], clock: Clock = CLOCK
) -> Callable[[float], None]:
    """Return a function that waits for some seconds, or until `stopping()` is true."""

    def sleep(secs: float) -> None:
        until = clock.monotonic() + secs
        while (left := until - clock.monotonic()) > 0 and not stopping():
            clock.wait(min(left, _TICK_SECS))

    return sleep


def wait_secs(retry: Retry, number: int, error: BaseException | None = None) -> float:
    """Return how long to wait after a failed attempt, for loops that count attempts themselves.

    Args:
        retry: how long waits are.
        number: counts failed attempts, from 1.
        error: why it failed; `retry_after_secs` of a RetryableError is the shortest wait.
    """
    first = retry.first_wait_secs
    grows = min(first * 2.0 ** (number - 1), retry.max_wait_secs)
    jitter = random.uniform(0, first)  # noqa: S311  # not a secret
    asked = getattr(error, "retry_after_secs", None) or 0.0
    if retry.max_asked_secs is not None:
        asked = min(asked, retry.max_asked_secs)
    return max(min(grows + jitter, retry.max_wait_secs), asked)


def _pause(secs: float) -> None:
    CLOCK.wait(secs)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
