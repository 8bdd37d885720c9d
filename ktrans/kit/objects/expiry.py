"""Remembers what was read for a limited time, so that the state does not grow for ever.

The state store returns values by key but lists no keys. So each plan also remembers the list of its
keys; these lists are a queue, whose ends are in the source's position. From them the next plan knows
which splits were quarantined (they have no value), and once a list is old enough its keys are
forgotten, whether or not the objects still exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ktrans.api import Memory


class Expiry:
    """The queue of lists.

    Args:
        state: what `to_json` returned, or None.
    """

    def __init__(self, state: Sequence[int] | None, memory: Memory) -> None:
        # A position of `--from` has no queue: the last one is continued.
        ends: Sequence[int] = state or memory.recall([_QUEUE]).get(_QUEUE) or (0, 0, 0)
        self._first, self._checked, self._next = ends
        self._memory = memory
        self.remember: dict[str, Any] = {}
        """Entries for `Plan.remember`; None forgets."""

    def to_json(self) -> list[int]:
        """Return the queue's ends, for the position."""
        return [self._first, self._checked, self._next]

    def quarantined(self) -> list[str]:
        """Return the keys of earlier plans that are not remembered: they wait for another try."""
        missing = []
        for number in range(self._checked, self._next):
            keys = self._list(number)["keys"]
            known = self._memory.recall(keys)
            # A value may be from an earlier plan, of another version.
            missing += [key for key in keys if known.get(key, {}).get("plan") != number]
        self._checked = self._next
        return missing

    def add(self, values: Mapping[str, Mapping[str, Any]], until: datetime) -> None:
        """Remember values by key, at least until `expire` is called with a later time.

        The number of the plan is added to the values, which are mappings.
        """
        self.remember |= {key: {**value, "plan": self._next} for key, value in values.items()}
        self.remember[_name(self._next)] = {"keys": list(values), "until": until.isoformat()}
        self._next += 1
        self.remember[_QUEUE] = self.to_json()

    def expire(self, before: datetime | None) -> None:
        """Forget what was to be remembered until an earlier time."""
        while before is not None and self._first < self._checked:
            entry = self._list(self._first)
            if datetime.fromisoformat(entry["until"]) >= before:
                return
            for key, value in self._memory.recall(entry["keys"]).items():
                if value["plan"] == self._first:  # not one that was read again since
                    self.remember.setdefault(key, None)
            self.remember[_name(self._first)] = None
            self._first += 1

    def _list(self, number: int) -> Any:
        name = _name(number)
        return self._memory.recall([name]).get(name) or {"keys": [], "until": _LONG_AGO}


_QUEUE = "plans"
_LONG_AGO = "0001-01-01T00:00:00+00:00"


def _name(number: int) -> str:
    return f"plan:{number}"
