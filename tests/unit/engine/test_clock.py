"""A run goes by the clock that it is given."""

import threading

from ktrans.api import RetryableError
from ktrans.engine.observer import Observer


def test_waits_before_another_attempt_take_no_time_of_ours(bench, movable_clock):
    bench.fill(objects=1)
    bench.world.plan_errors = [RetryableError("busy", retry_after_secs=3600)]
    bench.world.errors = {"object-000": [RetryableError("busy", retry_after_secs=600)]}
    before = movable_clock.now()
    receipt = bench.run(clock=movable_clock, follow=False)
    assert receipt.exit_code == 0, receipt.error
    assert movable_clock.waits == [3600, 600]
    assert (movable_clock.now() - before).total_seconds() == 4200


def test_following_polls_by_it(bench, movable_clock):
    stop = threading.Event()

    class Stopping(Observer):
        looked = 0

        def caught_up(self):
            self.looked += 1
            if self.looked == 4:
                stop.set()

    bench.settings(poll_interval=3600)
    bench.fill(objects=1)
    bench.run(Stopping(), stop, clock=movable_clock, follow=True)
    assert movable_clock.waits[:3] == [3600] * 3
