"""A property that is computed once, on first use, by whichever thread comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  # used as a decorator, like property
    """A property that is computed on first use and kept in the instance's `__dict__`.

    As `functools.cached_property`, which has no lock since Python 3.12: the threads of several
    tasks may be the first to open a connection.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self._lock = threading.RLock()
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> once[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> once[T] | T:
        """Return the value, computed if need be."""
        if instance is None:
            return self
        with self._lock:
            kept = instance.__dict__
            if self._name not in kept:
                kept[self._name] = self._make(instance)
            made: T = kept[self._name]
            return made
