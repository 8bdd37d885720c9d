"""Calls of librdkafka that return in any case.

After a broker was gone for a while, calls of the transactional API (seen: send_offsets_to_transaction
of librdkafka 2.x) may wait for ever, whatever timeout they are given.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

_TICK_SECS = 0.2


class HungError(Exception):
    """A call did not return in time; its thread is left behind with the client that it uses."""


def bounded(call: Callable[[], Any], secs: float, stop: Callable[[], bool]) -> Any:
    """Make a call in a thread of its own, and return what it returns or raise what it raises.

    Args:
        call: what to call.
        secs: how long to wait for it at most.
        stop: once true, the call is not waited for any longer.

    Raises:
        HungError: it has not returned.
    """
    answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put((call(), None))
        except BaseException as error:  # noqa: BLE001  # raised by the caller
            answer.put((None, error))

    threading.Thread(target=run, name="kafka-call", daemon=True).start()
    left = secs
    while left > 0:
        try:
            value, error = answer.get(timeout=_TICK_SECS)
        except queue.Empty:
            left -= _TICK_SECS
            if stop():
                left = min(left, 1.0)
        else:
            if error is not None:
                raise error
            return value
    raise HungError
