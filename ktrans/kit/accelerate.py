"""The accelerator in use, if there is one: set where a pipeline is assembled, asked by readers and formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ktrans.api.accelerator import Accelerator
from ktrans.kit import log_events

Given = TypeVar("Given")
Found = TypeVar("Found")
Shape = TypeVar("Shape")
Reader = TypeVar("Reader")
Native = Callable[[Given, int], Found | None]
"""Reads a block of so many lines, or joins the parts of so many rows; for None, Python does it."""

_log = logging.getLogger("ktrans.kit.accelerate")
_using: list[Accelerator | None] = [None]
_failed: set[str] = set()


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


def guarded(
    native: Native[Given, Found], name: str, *panics: type[BaseException]
) -> Native[Given, Found]:
    """Return a native function that returns None where it fails, so that Python does its work.

    A failure is a defect of the native code: the first one of each name is logged.

    Args:
        native: the function.
        name: the accelerator, for the log.
        panics: what it raises that is not an `Exception`, such as for a panic of Rust.
    """
    caught: tuple[type[BaseException], ...] = (Exception, *panics)

    def guard(given: Given, count: int) -> Found | None:
        try:
            return native(given, count)
        except caught as error:
            _note(name, error)
            return None

    return guard


def reader_of(make: Callable[[Shape], Reader], shape: Shape, name: str) -> Reader | None:
    """Return the reader that an accelerator makes; None if it cannot, as one for another ktrans.

    Args:
        make: its method.
        shape: what to read.
        name: the accelerator, for the log.
    """
    try:
        return make(shape)
    except Exception as error:  # noqa: BLE001 - native code must not stop a run
        _note(name, error)
        return None


def _note(name: str, error: BaseException) -> None:
    """Log the first failure of an accelerator."""
    if name in _failed:
        return
    _failed.add(name)
    _log.error(
        "%s failed, and Python did the work instead; please report this: %s: %s",
        name,
        type(error).__name__,
        error,
        extra={"event": log_events.NATIVE_FAILED},
    )
