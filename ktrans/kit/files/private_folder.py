"""Folders of ktrans' own that hold raw records: nobody else on the machine is to read them."""

from __future__ import annotations

from pathlib import Path

OWNER_ONLY = 0o700


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user only.

    A folder that is there already stays as it is: who made it decided who may look in.

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
