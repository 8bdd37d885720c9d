"""The result of planning an object source: splits, what to remember, and notes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ktrans.api import Split
from ktrans.kit.objects.store import ObjectInfo, ObjectStore

_NAMED = 3


class PlanResult:
    """Collects the splits of a plan.

    Attributes:
        splits: what is to be read.
        remember: what to remember of each object, by split key.
        planned_bytes: sizes of the splits, summed.
        latest: the latest change of any of them.
        unsettled: how many objects were changed too recently.
        own: how many objects this pipeline itself has written.
        replaced: objects whose content has changed since they were read.
        refused: objects that may not be looked at; they wait.
        too_large: whether there were too many folders to look for days in them.
    """

    def __init__(self, store: ObjectStore, *, reread: bool) -> None:
        self._store = store
        self._reread = reread
        self.splits: list[Split] = []
        self.remember: dict[str, Any] = {}
        self.planned_bytes = 0
        self.latest = datetime.min.replace(tzinfo=UTC)
        self.unsettled = 0
        self.own = 0
        self.replaced: list[str] = []
        self.refused: list[str] = []
        self.too_large = False

    def add(self, info: ObjectInfo) -> None:
        """Take an object into the plan."""
        uri = self._store.uri(info.key)
        data = {"key": info.key, "version": info.version, "size": info.size}
        self.splits.append(Split(uri, uri, info.size, data))
        self.remember[uri] = {"version": info.version}
        self.planned_bytes += info.size
        self.latest = max(self.latest, info.modified)

    def leave(self, info: ObjectInfo) -> None:
        """Remember an object at this version without reading it."""
        self.remember[self._store.uri(info.key)] = {"version": info.version}
        self.latest = max(self.latest, info.modified)

    def left(self) -> Iterator[str]:
        """Return what is left for a later plan."""
        if self.unsettled:
            yield f"objects that were changed too recently (min_age): {self.unsettled}"
        if self.refused:
            yield f"objects to which access was refused: {_names(self.refused)}"

    def notes(self) -> Iterator[str]:
        """Return what the user should know."""
        if self.own:
            yield "objects that this pipeline itself has written are skipped"
        if self.replaced:
            done = "read again" if self._reread else "left alone (on_replaced: skip)"
            yield f"content replaced since it was read, {done}: {_names(self.replaced)}"
        if self.too_large:
            yield "too many folders to look for days in them; everything is listed (layout: auto)"


def _names(uris: list[str]) -> str:
    more = len(uris) - _NAMED
    return ", ".join(uris[:_NAMED]) + (f" and {more} more" if more > 0 else "")
