"""Runs a command as a process of its own and measures it: wall and CPU time, peak memory.

CPU time is that of the process, its threads and the processes that it started and waited for.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SAMPLE_SECS = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one command.

    Attributes:
        wall_secs: from start to exit.
        cpu_secs: user and system time of the process, its threads and its child processes.
        rss_mb: most memory resident at once. Linux keeps the caller's own peak across exec, so
            the caller has to stay small: it imports nothing beyond the standard library. Of several
            processes it is the highest sum seen, shared pages counted once.
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
        with _Watch(child.pid) as watch:
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = child.returncode != 0
    tail = log.read_text(errors="replace").splitlines()[-6:] if failed else []
    return Measured(
        wall_secs=wall,
        cpu_secs=usage.ru_utime + usage.ru_stime,
        rss_mb=max(usage.ru_maxrss / 1024, watch.peak_mb),
        exit_code=child.returncode,
        error="\n".join(tail),
    )


class _Watch:
    """Samples the memory of a process that has child processes.

    Attributes:
        peak_mb: the highest sum; 0 if it never had any, since the kernel keeps the peak of one.
    """

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE_SECS):
            pids = list(_tree(self._pid))
            if len(pids) > 1:
                self.peak_mb = max(self.peak_mb, sum(_share_mb(pid) for pid in pids))


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and all processes below it."""
    yield pid
    try:
        found = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has ended
        return
    for child in " ".join(found).split():
        yield from _tree(int(child))


def _share_mb(pid: int) -> float:
    """Return the memory of a process, shared pages divided among those that share them."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0")
    return int(found.split()[1]) / 1024
