"""The pytest plugin of ktrans: fixtures, and assertions that show what differs.

Installed with ktrans, it is active in the tests of every plugin:

    movable_clock       a clock that the test moves, for `Context(clock=...)`
    collected_rejects   collects the rejects of decoded blocks, with their reasons and positions

A failing `assert` within the contracts shows both sides, and so does one that compares Arrow batches
or tables with `==` in any test.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ktrans.testing.clock import MovableClock
    from ktrans.testing.rejects import CollectedRejects

pytest.register_assert_rewrite("ktrans.testing.contracts", "ktrans.testing.rejects")


@pytest.fixture
def movable_clock() -> MovableClock:
    """A clock that only the test and waits move."""
    from ktrans.testing.clock import MovableClock

    return MovableClock()


@pytest.fixture
def collected_rejects() -> CollectedRejects:
    """An empty collection of rejects."""
    from ktrans.testing.rejects import CollectedRejects

    return CollectedRejects()


def pytest_assertrepr_compare(op: str, left: Any, right: Any) -> list[str] | None:
    """Show how two batches or tables differ."""
    arrow = sys.modules.get("pyarrow")
    if arrow is None or op != "==":
        return None
    kinds = (arrow.RecordBatch, arrow.Table)
    if not (isinstance(left, kinds) and isinstance(right, kinds)):
        return None
    from ktrans.testing.arrow import describe_difference

    told = describe_difference(right, left)
    if told is None:
        told = "the values are the same, but not how they are stored (dictionaries, metadata)"
    return ["the batches differ (- right side, + left side)", *told.splitlines()]
