"""Waiting for the lock of a pipeline that another run holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from ktrans.api import InterruptedRunError, LockedError
from ktrans.engine.cancellation import Cancellation
from ktrans.state.store import Store

LONGEST_POLL_SECS = 5.0
"""The longest time between two attempts."""


def hold_when_free(
    stack: ExitStack,
    hold: Callable[[], AbstractContextManager[Store]],
    *,
    wait: bool,
    poll_interval: float,
    cancellation: Cancellation,
    note: Callable[[str], None],
) -> Store:
    """Hold a pipeline, if need be after waiting for another run's lease to expire or be released.

    A lock without an expiry time is never waited for. `note` is called once, with the reason
    for the wait.

    Raises:
        LockedError: another run holds it.
        InterruptedRunError: the run was stopped while it waited.
    """
    noted = False
    while True:
        try:
            return stack.enter_context(hold())
        except LockedError as error:
            if error.until is None or not wait:
                raise
            if cancellation.stop.is_set():
                raise InterruptedRunError("stopped while waiting for the lock") from error
            if not noted:  # once: the message has a time, which changes with each renewal
                note(f"{error.message}; waiting to take over")
            noted = True
        cancellation.clock.wait(min(poll_interval, LONGEST_POLL_SECS), cancellation.stop)
