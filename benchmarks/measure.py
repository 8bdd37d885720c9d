"""Runs a command as a process of its own and measures it: wall and CPU time, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one command.

    Attributes:
        wall_secs: from start to exit.
        cpu_secs: user and system time of the process and its threads.
        rss_mb: most memory resident at once. Linux keeps the caller's own peak across exec, so
            the caller has to stay small: it imports nothing beyond the standard library.
        exit_code: 0 if it went well.
        error: the last lines that it wrote, if it did not.
    """

    wall_secs: float
    cpu_secs: float
    rss_mb: float
    exit_code: int
    error: str = ""


def run(command: Sequence[str], folder: Path) -> Measured:
    """Run a command in a folder, its output going to `output.txt` there."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "output.txt"
    # Compiled modules are kept between runs, as they are for whoever installed the programs.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as output:
        begin = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = child.returncode != 0
    tail = log.read_text(errors="replace").splitlines()[-6:] if failed else []
    return Measured(
        wall_secs=wall,
        cpu_secs=usage.ru_utime + usage.ru_stime,
        rss_mb=usage.ru_maxrss / 1024,
        exit_code=child.returncode,
        error="\n".join(tail),
    )
