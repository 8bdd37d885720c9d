"""Reads snapshots: one file, or a folder of dated ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Generic

import msgspec
import numpy as np

from ktrans.api import AccessError, ConfigError
from ktrans.kit.inventory.records import H, Snapshot
from ktrans.kit.inventory.table import HolderTable
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_NO_SNAPSHOT: tuple[type[Exception], ...] = (OSError, ValueError, *UNREADABLE_JSON)
"""What reading a file may raise; ValueError is what the standard library's JSON parser raises."""
_OTHER_KINDS = (AttributeError, TypeError, LookupError, OverflowError)
"""What reading an export raises that has texts where objects belong, or the reverse."""
_TIME = re.compile(
    r"(?<![0-9])(20[0-9]{2})-?([0-9]{2})-?([0-9]{2})(?:[T_ -]?([0-9]{2})[:-]?([0-9]{2})(?:[:-]?([0-9]{2}))?"
    r"(Z|[+-](?:0[0-9]|1[0-4]):?(?:00|30|45))?)?(?![0-9])"
)
_SUFFIXES = {".json", ".jsonl", ".ndjson"}
_KEPT = 8
"""How many snapshots of a folder are in memory at a time."""


class SnapshotReader(Generic[H]):
    """Reads the files of one cloud.

    Args:
        record: the type of its holders.
        exported: returns the holders of a file that tools of the cloud wrote, or None for other files.
        hint: how to write a snapshot.
    """

    def __init__(
        self, record: type[H], exported: Callable[[bytes], list[H] | None] | None, hint: str
    ) -> None:
        self._type = Snapshot[record]  # type: ignore[valid-type]
        self._holders = list[record]  # type: ignore[valid-type]
        self._exported = exported
        self.hint = hint

    def read(self, path: Path) -> Snapshot[H]:
        """Read a file. An export has the time in its name, or else when it was written.

        Raises:
            ConfigError: it does not exist, or is neither a snapshot nor an export.
            AccessError: it may not be read.
        """
        try:
            data = path.read_bytes()
            found = self._read_export(data)
            if found is not None:
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                return Snapshot(time_of(path.name) or written.replace(microsecond=0), found)
            snapshot: Snapshot[H] = msgspec.json.decode(data, type=self._type)
        except FileNotFoundError:
            message = f"there is no file {path}"
            raise ConfigError(message, field="snapshot", hint=self.hint) from None
        except PermissionError as error:
            raise AccessError(f"not allowed to read {path}") from error
        except _NO_SNAPSHOT as error:
            message = f"{path} is not a snapshot of interfaces: {error}"
            raise ConfigError(message, field="snapshot", hint=self.hint) from error
        if snapshot.version != 1:
            raise ConfigError(
                f"{path} has version {snapshot.version} of the snapshot's form; 1 is known",
                field="snapshot",
                hint="update the plugin",
            )
        if snapshot.taken.tzinfo is None:
            raise ConfigError(f"{path}: `taken` has no time zone", field="snapshot")
        return snapshot

    def _read_export(self, data: bytes) -> list[H] | None:
        """Return the holders of an export, with their values checked as those of a snapshot are."""
        try:
            found = self._exported(data) if self._exported else None
            if found is None:
                return None
            return msgspec.json.decode(msgspec.json.encode(found), type=self._holders)
        except _OTHER_KINDS as error:
            raise ValueError("its JSON has values where other kinds belong") from error


def time_of(name: str) -> datetime | None:
    """Return the time in a file's name: `20261105T120000Z`, `2026-11-05_12-00`, `2026-11-05`.

    It is in UTC unless it ends with its offset: `2026-11-05T12:00:00+02:00`.
    """
    for match in _TIME.finditer(name):
        *numbers, offset = match.groups()
        year, month, day, hour, minute, second = (int(part or 0) for part in numbers)
        zone = datetime.strptime(offset, "%z").tzinfo if offset else UTC
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
        except ValueError:
            continue
    return None


class DatedSnapshots(Generic[H]):
    """The snapshots of a folder, by time; each is loaded when rows need it.

    Each file has its time in its name, or else inside as `taken`.

    Args:
        folder: the folder.
        reader: what reads its files.
        table: indexes a snapshot.

    Raises:
        ConfigError: the folder has no snapshots, or two of the same time.
    """

    def __init__(
        self,
        folder: Path,
        reader: SnapshotReader[H],
        table: Callable[[Snapshot[H]], HolderTable],
    ) -> None:
        self._reader, self._table = reader, table
        self._lock = threading.Lock()
        self._loaded: dict[int, HolderTable] = {}
        dated = sorted((self._time(path), path) for path in _files(folder))
        if not dated:
            raise ConfigError(
                f"{folder} has no snapshots: no files *.json, *.jsonl or *.ndjson",
                field="snapshot",
                hint=reader.hint,
            )
        for (one, path), (other, twin) in pairwise(dated):
            if one == other:
                raise ConfigError(
                    f"{path.name} and {twin.name} in {folder} are of the same time",
                    field="snapshot",
                )
        self._paths = [path for _, path in dated]
        self.times = np.array([round(time.timestamp() * 1_000_000) for time, _ in dated], np.int64)

    def _time(self, path: Path) -> datetime:
        return time_of(path.name) or self._reader.read(path).taken

    def __len__(self) -> int:
        return len(self._paths)

    def in_force(self, times: np.ndarray) -> np.ndarray:
        """Return the position of the snapshot in force at each time, -1 before the first one."""
        return np.searchsorted(self.times, times, side="right") - 1

    def at(self, position: int) -> HolderTable:
        """Return a snapshot, indexed."""
        with self._lock:
            found = self._loaded.pop(position, None)
            if found is None:
                found = self._table(self._reader.read(self._paths[position]))
                while len(self._loaded) >= _KEPT:
                    self._loaded.pop(next(iter(self._loaded)))
            self._loaded[position] = found
            return found


def _files(folder: Path) -> list[Path]:
    try:
        return [
            path
            for path in folder.iterdir()
            if path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()
        ]
    except OSError as error:
        raise AccessError(f"not allowed to list {folder}") from error
