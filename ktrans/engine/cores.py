"""The number of cores that this process may use; in a container it may be less than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of workers that can be kept busy, at least one.

    It is bounded by the cores that the process may run on, and by the CPU quota of its control
    group (`cpu.max` of version 2, `cpu.cfs_quota_us` of version 1: Linux kernel documentation,
    "Control Group v2" and "CFS Bandwidth Control"), rounded up.
    """
    # macOS has no affinity.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cpu_quota()
    return max(1, min(cores or 1, math.ceil(quota) if quota else cores or 1))


def cpu_quota(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the CPU quota of this process's control groups in cores; None if there is none.

    Control groups are mounted at `root`; the file `own` names those of this process.
    """
    found = [quota for folder in _folders(root, own) if (quota := _quota(folder)) is not None]
    return min(found, default=None)


def _folders(root: Path, own: Path) -> list[Path]:
    """Return the control group of this process and its parents: each may have a quota."""
    folders = [root, root / "cpu"]
    for line in _text(own).splitlines():
        _, _, path = line.rpartition(":")
        while path not in {"", "/"}:
            folders += [root / path.lstrip("/"), root / "cpu" / path.lstrip("/")]
            path = path.rpartition("/")[0]
    return folders


def _quota(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None  # "max", or -1
    return int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
