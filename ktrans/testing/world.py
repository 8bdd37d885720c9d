"""The shared state of the fakes of one test."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from ktrans.api import ComponentConfig


class Crash(BaseException):
    """Raised where a process would die."""


@dataclass
class World:
    """Objects to read, errors to raise and published rows of the fakes of one test.

    Attributes:
        objects: text by name, for the source.
        errors: by object name, errors to raise when it is opened, one at a time.
        crash_at: the step at which Crash is raised; 0 for never. Steps are counted by `step`.
        write_errors: errors to raise by writers, one at a time.
        plan_errors: errors to raise when the source plans, one at a time.
        refuses: by sink, names of rows that it refuses.
        staged, published: rows by sink and file name.
    """

    objects: dict[str, str] = field(default_factory=dict)
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    write_errors: list[Exception] = field(default_factory=list)
    plan_errors: list[Exception] = field(default_factory=list)
    refuses: dict[str, set[str]] = field(default_factory=dict)
    crash_at: int = 0
    steps: int = 0
    staged: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    published: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self) -> None:
        """Mark a point at which a process may die."""
        with self._lock:
            self.steps += 1
            if self.crash_at and self.steps >= self.crash_at:
                raise Crash

    def rows(self, sink: str) -> list[Any]:
        """Return all published rows of a sink, sorted."""
        rows = [row for (name, _), rows in self.published.items() if name == sink for row in rows]
        return sorted(rows, key=str)


WORLDS: dict[str, World] = {}


class FakeConfig(ComponentConfig):
    """Options that all fakes have."""

    world: str = Field(description="Name of the World in WORLDS.", examples=["test"])
