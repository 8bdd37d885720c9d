"""Remembers which requests of a task were accepted, over crashes.

Prometheus accepts the last sample of a series again, and refuses older ones, though it has them. So
requests that were accepted must not be sent again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ktrans.api import EpochId, TaskId
from ktrans.kit.files.durable import sync_folder
from ktrans.kit.files.staging import os_errors
from ktrans.kit.http.answers import Fault
from ktrans.kit.text.json_errors import UNREADABLE_JSON

Faults = Mapping[int, Fault]
"""Why rows of a request were refused, by number."""


class Progress:
    """The requests of a task that were accepted, in a file with a line for each.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)

    def find(self, digest: str) -> Faults | None:
        """Return the refused rows of a request that was accepted; None for a new one."""
        return self._known.get(digest)

    def add(self, accepted: Mapping[str, Faults]) -> None:
        """Remember requests, durably."""
        lines = [
            msgspec.json.encode([digest, [[n, f.reason, f.detail] for n, f in faults.items()]])
            for digest, faults in accepted.items()
        ]
        with os_errors(self._path):
            new = not self._path.exists()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(b"".join(b"\n" + line for line in lines))
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_folder(self._path.parent)


def progress_of(folder: Path, task: TaskId) -> Progress:
    """Return the progress of earlier attempts at a task."""
    return Progress(folder / f"{task}.sent")


def forget_before(folder: Path, epoch: EpochId) -> None:
    """Remove what is known of other epochs."""
    with os_errors(folder):
        for path in folder.glob("*.sent") if folder.is_dir() else ():
            if path.name.rpartition("-")[0] != str(epoch):
                path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Faults]:
    if not path.exists():
        return {}
    with os_errors(path):
        lines = path.read_bytes().split(b"\n")
    known: dict[str, Faults] = {}
    for line in lines:
        try:
            digest, faults = msgspec.json.decode(line, type=tuple[str, list[tuple[int, str, str]]])
        except UNREADABLE_JSON:
            continue  # the process died while it wrote this line
        known[digest] = {number: Fault(reason, detail) for number, reason, detail in faults}
    return known
