"""Figures of a run: their spread over the rounds, as plain text for the terminal.

python benchmarks/report.py results.json
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("ktrans", "pyarrow", "numpy", "isal", "duckdb", "polars")

Entry = dict[str, Any]
"""A contender's results: name, ours, rows, rounds, error."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return lowest, median and highest."""
        return cls(min(values), statistics.median(values), max(values))


def machine() -> dict[str, Any]:
    """Return what this runs on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def about(results: dict[str, Any]) -> str:
    """Return one sentence about when and on what a run was measured."""
    told = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    return (
        f"Measured at {results['taken'][:16].replace('T', ' ')} UTC on {told['cores']} cores of "
        f"{told['processor']}, {told['memory_gb']} GB, {told['system']}, Python {told['python']}; "
        f"{versions}. Load when it began: {told['load']}."
        + "".join(
            f" Measured later, at {part['taken'][:16].replace('T', ' ')} UTC with load "
            f"{part['load']}: {'; '.join(part['titles'])}."
            for part in results.get("later", [])
        )
        + (" A quick run over small inputs: not to be quoted." if results["quick"] else "")
    )


def entries(results: dict[str, Any]) -> Iterator[Entry]:
    """Yield the results of all contenders."""
    for case in results["cases"].values():
        yield from case["contenders"]


def figure(entry: Entry, name: str) -> Spread:
    """Return `wall_secs`, `cpu_secs` or `rss_mb` of a contender."""
    return Spread.of([turn[name] for turn in entry["rounds"]])


def rate(entry: Entry, name: str = "cpu_secs") -> Spread:
    """Return the rows for each second."""
    return Spread.of([entry["rows"] / turn[name] for turn in entry["rounds"]])


def against(entry: Entry, other: Entry, name: str = "cpu_secs") -> Spread:
    """Return how much more seconds for each row a contender takes than another one.

    The two of a round are compared with each other, as the machine was equally busy then.
    """
    rows = (other["rows"] or 1) / (entry["rows"] or 1)
    pairs = zip(entry["rounds"], other["rounds"], strict=False)
    return Spread.of([rows * mine[name] / theirs[name] for mine, theirs in pairs])


def plain(results: dict[str, Any]) -> str:
    """Return all cases as aligned text, errors below each."""
    out = [about(results)]
    for name, case in results["cases"].items():
        out += ["", f"{name}: {case['title']}"]
        first = case["contenders"][0]
        for entry in case["contenders"]:
            if not entry["rounds"]:
                out.append(f"  {entry['name']:26} {entry['error'] or 'not measured'}")
                continue
            cpu, wall = figure(entry, "cpu_secs"), figure(entry, "wall_secs")
            speed = f"{rate(entry).middle:12,.0f} {case['unit']}/CPU s" if entry["rows"] else ""
            ratio = f"{against(entry, first).middle:6.2f} x CPU" if first["rounds"] else ""
            out.append(
                f"  {entry['name']:26} {cpu.low:7.2f} {cpu.middle:7.2f} {cpu.high:7.2f} CPU s "
                f"{wall.middle:7.2f} s {figure(entry, 'rss_mb').high:6.0f} MB {ratio} {speed}"
            )
    return "\n".join(out)


if __name__ == "__main__":
    print(plain(json.loads(Path(sys.argv[1]).read_text())))
