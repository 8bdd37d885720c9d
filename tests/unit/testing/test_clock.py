"""The movable clock: waits jump, or last until it is moved."""

import threading
from datetime import timedelta

import pytest

from ktrans.api import Context
from ktrans.api.clock import Clock
from ktrans.testing.clock import MovableClock


def test_waits_jump_and_are_noted(movable_clock):
    before = movable_clock.now()
    assert not movable_clock.wait(90)
    assert not movable_clock.wait(-1)
    assert movable_clock.waits == [90, -1]
    assert movable_clock.now() - before == timedelta(seconds=90)
    assert movable_clock.monotonic() == 90
    with pytest.raises(ValueError, match="go back"):
        movable_clock.advance(-1)


def test_a_wait_ends_with_what_it_waits_for(movable_clock):
    over = threading.Event()
    over.set()
    assert movable_clock.wait(90, over)
    assert movable_clock.monotonic() == 0
    assert Clock().wait(600, over)


@pytest.mark.parametrize("how", ["moved", "over"])
def test_a_wait_that_does_not_jump_lasts_until_the_clock_is_moved_or_it_is_over(how):
    clock, over, ended = MovableClock(jumps=False), threading.Event(), []
    waiter = threading.Thread(target=lambda: ended.append(clock.wait(60, over)))
    waiter.start()
    clock.advance(59)
    while not clock.waits:
        pass
    assert waiter.is_alive()
    if how == "moved":
        clock.advance(minutes=1)
    else:
        over.set()
    waiter.join(60)
    assert ended == [how == "over"]


def test_what_renews_in_the_background_does_not_move_it(movable_clock):
    over = threading.Event()
    waiter = threading.Thread(target=lambda: movable_clock.wait(20, over, background=True))
    waiter.start()
    while not movable_clock.waits:
        pass
    assert movable_clock.monotonic() == 0
    over.set()
    waiter.join(60)
    assert not waiter.is_alive()


def test_components_are_given_it(movable_clock):
    assert Context(clock=movable_clock).clock is movable_clock
    assert type(Context().clock) is Clock
