"""Splits of earlier plans that could not be read, kept in a source's position and planned again."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ktrans.api import Memory, Split


def new_token() -> str:
    """Return a token for a position that begins anew."""
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Pending:
    """The splits of the last plan, and earlier ones that were not read.

    Attributes:
        splits: as they were planned.
        token: distinguishes what is remembered of them from what was remembered before a `--from`.
    """

    splits: tuple[Split, ...] = ()
    token: str = ""

    @classmethod
    def of(cls, position: Mapping[str, Any] | None) -> Pending:
        """Return what a position keeps."""
        if position is None:
            return cls()
        return cls(tuple(map(Split.from_json, position["pending"])), position["token"])

    def unread(self, memory: Memory) -> list[Split]:
        """Return the splits that were quarantined, to be planned again."""
        found = memory.recall([split.key for split in self.splits])
        return [
            split
            for split in self.splits
            if (found.get(split.key) or {}).get("token") != self.token
        ]

    def followed_by(
        self,
        planned: Iterable[Split],
        left: Iterable[Split] = (),
        *,
        values: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        kept: Collection[str] = (),
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a position and the memory keep of the next plan.

        Args:
            planned: the splits of the plan.
            left: unread ones that are not in the plan.
            values: what to remember of splits, beside that they were read, by key.
            kept: keys of earlier splits to remember for longer.
        """
        planned, left = list(planned), list(left)
        waiting = {*kept, *(split.key for split in [*planned, *left])}
        remember: dict[str, Any] = {
            split.key: None for split in self.splits if split.key not in waiting
        }
        remember |= {
            split.key: {"token": self.token, **values.get(split.key, {})} for split in planned
        }
        pending = [split.to_json() for split in [*left, *planned]]
        return {"pending": pending, "token": self.token}, remember
