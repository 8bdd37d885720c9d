"""The ids of messages that were received before, on disk with the segments that hold them.

The ids of a segment are written before the segment itself, so a segment is never without them. Ids
whose segment was not completed are recognised by its number and forgotten: those messages were not
acknowledged and come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ktrans.kit.files.durable import replace_file

_MANY_FILES = 256
Key = int | str
"""Ids are decimal numbers so far; as integers they take half the memory."""


class SeenMessages:
    """A bounded memory of message ids.

    Args:
        folder: for its files, one a segment, older ones merged.
        limit: how many ids to remember at least, once there have been so many; 0 for none.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._by_number: dict[int, list[str]] = {}
        self._keys: set[Key] = set()
        self._count = 0

    def load(self, first: int, segments: Iterable[int]) -> None:
        """Read the ids of earlier runs.

        Args:
            first: number of the first segment that is not committed.
            segments: numbers of the segments in the spool.
        """
        self._by_number.clear()
        self._keys.clear()
        self._count = 0
        complete = set(segments)
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.ids"), key=lambda path: int(path.stem)):
            number = int(path.stem)
            if number < first or number in complete:
                self._take(number, path.read_text("utf-8").split())
            else:
                path.unlink()

    def __contains__(self, one: str) -> bool:
        """Return whether an id is remembered."""
        return _key(one) in self._keys

    def new(self, ids: Sequence[str]) -> list[bool]:
        """Return for each id whether it is new, to this memory and among those before it."""
        if not self._limit:
            return [True] * len(ids)
        answers = []
        for key in map(_key, ids):
            answers.append(key not in self._keys)
            self._keys.add(key)
        return answers

    def write(self, number: int, ids: Sequence[str]) -> None:
        """Write the ids of a segment durably, before its data becomes visible."""
        if not self._limit:
            return
        replace_file(self._path(number), "\n".join(ids).encode())
        self._take(number, list(ids))

    def trim(self, first: int) -> None:
        """Forget the oldest ids beyond the limit, and merge small files."""
        for number in sorted(self._by_number):
            if self._count - len(self._by_number[number]) < self._limit:
                break
            ids = self._by_number.pop(number)
            self._count -= len(ids)
            self._keys.difference_update(map(_key, ids))
            self._path(number).unlink(missing_ok=True)
        old = sorted(number for number in self._by_number if number < first)
        if len(old) > _MANY_FILES:
            self._merge(old)

    def _merge(self, numbers: Sequence[int]) -> None:
        """Merge the ids of committed segments into the file of the last one.

        At most an eighth of the limit at a time, so that forgetting stays fine-grained.
        """
        group: list[int] = []
        for number in numbers:
            group.append(number)
            if (
                sum(len(self._by_number[one]) for one in group) >= self._limit // 8
                or number == numbers[-1]
            ):
                self._merge_group(group)
                group = []

    def _merge_group(self, group: Sequence[int]) -> None:
        if len(group) < 2:  # noqa: PLR2004  nothing to put together
            return
        ids = [one for number in group for one in self._by_number.pop(number)]
        self._by_number[group[-1]] = ids
        replace_file(self._path(group[-1]), "\n".join(ids).encode())
        for number in group[:-1]:
            self._path(number).unlink(missing_ok=True)

    def _take(self, number: int, ids: list[str]) -> None:
        self._count += len(ids) - len(self._by_number.get(number, ()))
        self._by_number[number] = ids
        self._keys.update(map(_key, ids))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.ids"


def _key(text: str) -> Key:
    return int(text) if text.isdecimal() else text
