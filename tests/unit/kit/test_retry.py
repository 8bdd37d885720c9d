"""Retries: how often, how long the waits are, and when they end."""

from __future__ import annotations

import pytest

from ktrans.api import Health, RetryableError
from ktrans.kit.retry import FailedAttempt, Retry, interruptible_sleep, with_retries
from ktrans.testing.clock import MovableClock


class Failing:
    """Fails some times, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_waits_grow_up_to_the_longest_and_are_no_shorter_than_asked():
    waits = []
    asked = RetryableError("busy", retry_after_secs=30)
    work = Failing(*[RetryableError("busy")] * 5, asked)
    retry = Retry(attempts=10, first_wait_secs=1, max_wait_secs=4)
    assert with_retries(work, retry, sleep=waits.append) == "done"
    assert [1 <= waits[0] <= 2, 2 <= waits[1] <= 3, waits[2:5] == [4, 4, 4]] == [True] * 3
    assert waits[5] == 30


def test_the_wait_that_is_asked_for_has_a_limit():
    waits = []
    work = Failing(RetryableError("busy", retry_after_secs=300))
    with_retries(work, Retry(max_asked_secs=10), sleep=waits.append)
    assert waits == [10]


def test_the_last_error_is_raised_after_the_last_attempt():
    work = Failing(*(RetryableError(str(number)) for number in range(9)))
    with pytest.raises(RetryableError, match="2"):
        with_retries(work, Retry(attempts=3), sleep=lambda _: None)
    assert work.calls == 3


def test_other_errors_are_raised_at_once():
    work = Failing(OSError("no"))
    with pytest.raises(OSError, match="no"):
        with_retries(work, sleep=lambda _: None)
    assert work.calls == 1
    assert with_retries(Failing(OSError("no")), retry_if=lambda _: True, sleep=lambda _: None)


def test_failed_attempts_are_reported_and_may_give_up():
    told: list[FailedAttempt] = []
    work = Failing(RetryableError("a"), RetryableError("b"))
    with_retries(work, before_wait=told.append, sleep=lambda _: None)
    assert [(one.number, str(one.error)) for one in told] == [(1, "a"), (2, "b")]

    def give_up(_attempt):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_retries(Failing(RetryableError("a")), before_wait=give_up)


def test_no_attempt_begins_after_the_total_time():
    work = Failing(*[RetryableError("busy")] * 99)
    retry = Retry(attempts=None, total_secs=0.2, first_wait_secs=0.05, max_wait_secs=0.05)
    with pytest.raises(RetryableError):
        with_retries(work, retry)
    assert 1 < work.calls < 10


def test_a_sleep_ends_when_the_run_stops():
    clock, stop = MovableClock(), False
    sleep = interruptible_sleep(lambda: stop, clock)
    sleep(1)
    assert clock.monotonic() == pytest.approx(1)
    stop = True
    sleep(1)
    assert clock.monotonic() == pytest.approx(1)


def test_a_component_reports_failed_attempts_and_success_to_its_health():
    told = []

    class Told(Health):
        def failed(self, error):
            told.append(str(error))

        def works(self):
            told.append("works")

    work = Failing(RetryableError("a"), RetryableError("b"))
    with_retries(work, health=Told(), sleep=lambda _: None)
    assert told == ["a", "b", "works"]
