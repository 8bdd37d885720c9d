"""Folders for raw records, which no other user of the machine may read."""

from __future__ import annotations

from pathlib import Path

OWNER_ONLY = 0o700


def private_folder(folder: Path) -> None:
    """Make a folder and its missing parents, for this user only.

    The permissions of a folder that exists are not changed.

    Raises:
        OSError: it cannot be made.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder == folder.parent:
            break
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=OWNER_ONLY, exist_ok=True)
