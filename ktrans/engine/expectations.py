"""Judges the rules of `expect` over a run, or with --follow over windows of it.

What an epoch has found is in its ledger, so it counts once, whatever was killed meanwhile. With the last
epoch the state store has what was found since the last judgement: a run begins with that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from ktrans.engine.assembly import Assembly
from ktrans.engine.observer import Observer
from ktrans.engine.rules import BoundRule
from ktrans.state.store import Store


class RuleResult(msgspec.Struct):
    """What a run says of a rule.

    Attributes:
        name: the rule.
        least: the smallest number of rows that is expected.
        most: the largest; None if there is no limit.
        rows: how many rows it has found.
        broken: how often it was broken: at most once, with --follow once in a window.
    """

    name: str
    least: int
    most: int | None
    rows: int = 0
    broken: int = 0

    def __str__(self) -> str:
        """Return what was expected and found."""
        limit = f"at most {self.most:,}" if self.most else "none"
        expected = f"at least {self.least:,}" if self.most is None else limit
        return f"{self.name}: {expected} expected, {self.rows:,} found"


class Expectations:
    """The counts of the rules since they were judged last, and what the run says of each rule.

    Attributes:
        results: one for each rule, for the receipt.
    """

    def __init__(
        self, assembly: Assembly, store: Store, observer: Observer, *, forget: bool = False
    ) -> None:
        self._name = assembly.pipeline.name
        self._store = store
        self._observer = observer
        self._rules: list[BoundRule] = assembly.rules
        self._window = dt.timedelta(seconds=assembly.pipeline.engine.expect_window)
        self._since: dt.datetime | None = None
        self._broken: set[str] = set()
        counts = None if forget else store.unjudged(self._name)
        self._pending = counts is not None
        self._counts = {rule.name: (counts or {}).get(rule.name, 0) for rule in self._rules}
        self.results = {
            rule.name: RuleResult(rule.name, rule.rule.least, rule.rule.most)
            for rule in self._rules
        }
        self._add(self._counts)

    def within(self, name: str, more: int) -> bool:
        """Return whether a rule keeps its limit with so many rows more."""
        most = self.results[name].most
        return most is None or self._counts[name] + more <= most

    def with_epoch(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return what is not judged yet once an epoch is recorded that has found so many rows."""
        return {name: count + counts.get(name, 0) for name, count in self._counts.items()}

    def add_epoch(self, counts: Mapping[str, int]) -> None:
        """Add what a recorded epoch has found; rules that allow fewer rows are broken at once."""
        self._pending = True
        self._counts = self.with_epoch(counts)
        self._add(counts)

    def end_window(self, now: dt.datetime) -> None:
        """With --follow: judge all rules if the window is over, and begin the next one."""
        self._since = self._since or now
        if now - self._since >= self._window:
            self._since = now
            self._judge()

    def end_run(self) -> None:
        """Judge all rules if the run, or one before it, has read anything."""
        if self._pending:
            self._judge()

    def _add(self, counts: Mapping[str, int]) -> None:
        for name, result in self.results.items():
            result.rows += counts.get(name, 0)
            if result.most is not None and self._counts[name] > result.most:
                self._break(result)

    def _break(self, result: RuleResult) -> None:
        if result.name in self._broken:
            return
        self._broken.add(result.name)
        result.broken += 1
        found: dict[str, Any] = msgspec.to_builtins(result)
        self._observer.expectation_broken({**found, "rows": self._counts[result.name]})

    def _judge(self) -> None:
        for name, result in self.results.items():
            if self._counts[name] < result.least:
                self._break(result)
        if self._pending:
            self._store.set_judged(self._name)
        self._pending = False
        self._counts = dict.fromkeys(self._counts, 0)
        self._broken.clear()
