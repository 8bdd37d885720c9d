"""The budget of bytes of the blocks that are between the readers and the writers of a process."""

from __future__ import annotations

import threading
from typing import Any

from ktrans.engine.cancellation import TICK_SECS, Cancellation

_GROWTH = 8
"""How many times its size a block is taken to need, until some blocks were measured."""
_SPARE = 2
"""How many blocks may wait for their writer while every worker has one."""


def budget_of(workers: int, block_size: int) -> int:
    """Return how many bytes so many workers need so that none of them waits for memory."""
    return (workers + _SPARE) * _GROWTH * block_size


class ByteBudget:
    """Bounds the bytes that tasks hold, of one pipeline or of several, to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self.used = 0

    def allow(self, limit: int) -> None:
        """Raise the limit to this one if it is lower."""
        with self._changed:
            self._limit = max(self._limit, limit)
            self._changed.notify_all()

    def acquire(self, size: int, held: Held, cancellation: Cancellation) -> None:
        """Wait until there is room for `size` bytes, or the task holds nothing else.

        Raises:
            InterruptedRunError: the wait was cancelled.
        """
        with self._changed:
            while held.bytes and self.used + size > self._limit:
                cancellation.check()
                self._changed.wait(TICK_SECS)
            self._add(size, held)

    def add(self, size: int, held: Held) -> None:
        """Count more bytes, or fewer if it is negative, without waiting."""
        with self._changed:
            self._add(size, held)

    def _add(self, size: int, held: Held) -> None:
        self.used += size
        held.bytes += size
        if size < 0:
            self._changed.notify_all()


class Held:
    """What one attempt at a task holds of a budget.

    A task that holds nothing may always take one block, however large it is and whatever the others
    hold. So no task waits for another one whose sink does not answer.
    """

    def __init__(self) -> None:
        self.bytes = 0


class Growth:
    """How many times its size a block of a pipeline takes, as measured so far."""

    def __init__(self, block_size: int) -> None:
        self._size = block_size
        self._held = _GROWTH * block_size
        self._lock = threading.Lock()

    def note(self, size: int, held: int) -> None:
        """Take a processed block into account, and what it and its result take."""
        with self._lock:
            self._size += size
            self._held += held

    def of(self, size: int) -> int:
        """Return what a block of this size is expected to take."""
        with self._lock:
            return size * self._held // self._size


def memory_of(value: Any) -> int:
    """Return how many bytes a writer's encoded rows take, as far as they tell."""
    size = getattr(value, "nbytes", None)
    if size is not None:
        return int(size)
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(map(memory_of, value))
    names: tuple[str, ...] = getattr(value, "__struct_fields__", ())
    names = names or tuple(getattr(value, "__dataclass_fields__", ()))
    return sum(memory_of(getattr(value, name)) for name in names)
