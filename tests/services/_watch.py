"""Ends the servers of a test run that was killed, and removes their folders.

Whoever kills a test run leaves it no time to tidy up. So a process of its own listens at a pipe to
the test run: each server is announced there when it starts and signed off when it ends. When the pipe
breaks, the run is over, however it ended, and what is not signed off is ended by force.

This file is also the program of that process, so it imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO


class Watch:
    """The test run's side: one process listens for all servers of a test process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._pipe = -1

    def add(self, group: int, folder: Path) -> None:
        """Announce a server by its process group, and the folder that goes with it."""
        self._tell(f"+ {group} {folder}")

    def remove(self, group: int) -> None:
        """Sign a server off that has ended: its number may come to be that of another process."""
        self._tell(f"- {group} ")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._owner != os.getpid():  # a fork has servers of its own
                self._owner, self._pipe = os.getpid(), _listener()
            os.write(self._pipe, f"{line}\n".encode())


def _listener() -> int:
    """Start the listening process; give the pipe to it, which nobody closes before the end."""
    theirs, ours = os.pipe()
    # In a session of its own, so that an interrupt from the keyboard does not end it first.
    process = subprocess.Popen(  # this very file
        [sys.executable, "-I", "-S", __file__],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    process.returncode = 0  # it outlives this process, and nobody is to warn of that
    os.close(theirs)
    return ours


def listen(lines: IO[str]) -> None:
    """Listen until the other end is gone; then end what is left."""
    servers: dict[int, str] = {}
    for line in lines:
        sign, number, folder = line.rstrip("\n").split(" ", 2)
        if sign == "+":
            servers[int(number)] = folder
        else:
            servers.pop(int(number), None)
    for group in servers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for folder in servers.values():
        shutil.rmtree(folder, ignore_errors=True)


WATCH = Watch()

if __name__ == "__main__":
    listen(sys.stdin)
