"""The accelerator in use, if there is one: set where a pipeline is assembled, asked by readers and formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ktrans.api.accelerator import Accelerator

_using: list[Accelerator | None] = [None]


def accelerator() -> Accelerator | None:
    """Return the accelerator of this process, or None: then Python reads and writes all."""
    return _using[-1]


def accelerate(by: Accelerator | None) -> None:
    """Use an accelerator from now on; what was made before goes on as it is."""
    _using[-1] = by


@contextmanager
def accelerated(by: Accelerator | None) -> Iterator[None]:
    """Use an accelerator, or none, for a while: to compare both ways in one process."""
    _using.append(by)
    try:
        yield
    finally:
        _using.pop()
