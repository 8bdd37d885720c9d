"""Waiting for one's turn: a run that follows its source takes the place of the one before it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from ktrans.api import InterruptedRunError, LockedError
from ktrans.engine.cancellation import Cancellation
from ktrans.state.store import Store

STANDBY_SECS = 5.0
"""How often to look again, at most."""


def hold_in_turn(
    held: ExitStack,
    hold: Callable[[], AbstractContextManager[Store]],
    *,
    waits: bool,
    poll_interval: float,
    cancellation: Cancellation,
    note: Callable[[str], None],
) -> Store:
    """Hold a pipeline, if need be once another run's hold has run out, or was let go.

    Args:
        held: what ends the hold.
        hold: tries to hold it: see `StateStore.hold`.
        waits: whether to wait at all. A hold that lasts as long as its process is not waited for.
        poll_interval: how often to look again; `STANDBY_SECS` if that is less.
        cancellation: what ends the waiting, and the clock.
        note: told once that this run waits.

    Raises:
        LockedError: another run holds it.
        InterruptedRunError: told to stop while waiting.
    """
    told = False
    while True:
        try:
            store = held.enter_context(hold())
        except LockedError as error:
            if error.until is None or not waits:
                raise
            if cancellation.stop.is_set():
                raise InterruptedRunError("told to stop before it was its turn") from error
            if not told:  # the message names a time, which each renewal puts off
                note(f"{error.message}; waiting to take its place")
            told = True
        else:
            return store
        cancellation.clock.wait(min(poll_interval, STANDBY_SECS), cancellation.stop)
