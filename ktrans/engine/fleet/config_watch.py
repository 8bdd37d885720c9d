"""Finds out when files of the configuration have changed and are not being written any more.

Files are polled: that works on network file systems, with editors that replace a file, and with
mounted ConfigMaps, which change by a symbolic link.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ktrans.api import KtransError
from ktrans.config.find_files import pipeline_files
from ktrans.engine.fleet.fingerprint import file_digest

POLL_SECS = 1.0
"""The time between two looks at the files."""

SETTLE_SECS = 0.3
"""How long files must stay unchanged before they are loaded."""

LONGEST_SETTLE_SECS = 10.0
"""Files that keep changing are loaded as they are after this time."""

RECENT_NS = 2_000_000_000
"""A file that was written less than this ago may change again without a new time."""

Snapshot = dict[Path, str | None]


class ConfigWatch:
    """Watches the files of a configuration.

    Folders are listed each time.
    """

    def __init__(
        self, paths: Iterable[str | Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = [Path(path) for path in paths]
        self._clock = clock
        self._files: set[Path] = set()
        self._cache: dict[Path, tuple[tuple[int, ...], str | None]] = {}
        self._loaded: Snapshot = {}
        self._waiting: Snapshot | None = None
        self._since = 0.0
        self._taken = clock()

    def loaded(self, files: Iterable[Path], began_ns: int) -> None:
        """Record that the configuration was loaded.

        Args:
            files: the files that were read, besides the paths of the command line.
            began_ns: when loading began, in nanoseconds since 1970. Files that were written later
                may have been read before that, and count as changed.
        """
        self._files = set(files)
        before, self._loaded = self._loaded, self._snapshot()
        for path in self._loaded:
            if path in before:
                self._loaded[path] = before[path]
            elif _changed_ns(path) >= began_ns:
                self._loaded[path] = "may have changed meanwhile"

    def due(self, *, asked: bool) -> bool:
        """Return whether to load now: files have changed, or a reload was asked for, and have settled.

        May be called at any rate; it polls the files at its own.
        """
        now = self._clock()
        settling = asked or self._waiting is not None
        if now - self._taken < (SETTLE_SECS if settling else POLL_SECS):
            return False
        self._taken = now
        found = self._snapshot()
        if not asked and found == self._loaded:
            self._waiting = None
            return False
        if self._waiting is None:
            self._since = now
        if found != self._waiting and now - self._since < LONGEST_SETTLE_SECS:
            self._waiting = found
            return False
        self._waiting = None
        self._loaded = found
        return True

    def _snapshot(self) -> Snapshot:
        return {path: self._digest(path) for path in self._all()}

    def _all(self) -> set[Path]:
        files = set(self._files)
        for path in self._paths:
            try:
                files.update(pipeline_files([path]))
            except (KtransError, OSError):  # an empty or missing folder
                files.add(path)
        return files

    def _digest(self, path: Path) -> str | None:
        try:
            found = path.stat()
        except OSError:
            return None
        if stat.S_ISDIR(found.st_mode):
            return file_digest(path)  # its time does not say whether a file in it has grown
        key = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        known = self._cache.get(path)
        if known is None or known[0] != key or time.time_ns() - found.st_mtime_ns < RECENT_NS:
            known = self._cache[path] = (key, file_digest(path))
        return known[1]


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
