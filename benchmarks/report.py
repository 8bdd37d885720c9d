"""Tables from the results: plain for the terminal, Markdown with machine and versions for pages.

python benchmarks/report.py results.json
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("ktrans", "pyarrow", "numpy", "isal", "duckdb", "polars")
HEAD = ("contender", "rows/CPU s", "rows/s", "CPU s", "wall s", "RSS MB", "rows/CPU s, x", "RSS, x")


def machine() -> dict[str, Any]:
    """Say what this runs on."""
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
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def median(entry: dict[str, Any], key: str) -> float:
    """Give the middle of a figure over the rounds."""
    return statistics.median(turn[key] for turn in entry["rounds"])


def table(case: dict[str, Any]) -> list[list[str]]:
    """Give a case's rows of cells, the head first.

    The last columns compare with the case's first contender: rows per CPU second (wall time, if
    there are no rows) and memory. Above 1 the first one is faster, or smaller.
    """
    entries = case["contenders"]
    first = entries[0]
    counts = bool(first["rows"])
    rows = [list(HEAD) if counts else [HEAD[0], *HEAD[3:6], "wall s, x", HEAD[-1]]]
    for entry in entries:
        if not entry["rounds"]:
            rows.append([entry["name"], "failed", *[""] * (len(rows[0]) - 2)])
            continue
        cpu, wall, rss = (median(entry, key) for key in ("cpu_secs", "wall_secs", "rss_mb"))
        usual = [f"{cpu:.2f}", f"{wall:.2f}", f"{rss:.0f}"]
        if counts:
            rate = entry["rows"] / cpu
            usual = [f"{rate:,.0f}", f"{entry['rows'] / wall:,.0f}", *usual]
        memory = f"{rss / median(first, 'rss_mb'):.2f}" if first["rounds"] else "-"
        rows.append([entry["name"], *usual, _ratio(first, entry, counts=counts), memory])
    return rows


def _ratio(first: dict[str, Any], entry: dict[str, Any], *, counts: bool) -> str:
    if not first["rounds"]:
        return "-"
    if not counts:
        return f"{median(entry, 'wall_secs') / median(first, 'wall_secs'):.2f}"
    ours = first["rows"] / median(first, "cpu_secs")
    return f"{ours / (entry['rows'] / median(entry, 'cpu_secs')):.2f}"


def plain(case: dict[str, Any]) -> str:
    """Give a case as aligned text, errors below."""
    rows = table(case)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  " + "  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
    lines += [f"  {e['name']}: {e['error']}" for e in case["contenders"] if e["error"]]
    return "\n".join(lines)


def markdown(results: dict[str, Any]) -> str:
    """Give all cases as Markdown."""
    about = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    out = [
        (
            f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, "
            f"{about['system']}, Python {about['python']}; {versions}."
        ),
        "",
        (
            "Medians. The columns marked x compare with the first contender: above 1 it is faster, "
            "or needs less memory."
        ),
    ]
    if results["quick"]:
        out += ["", "Quick run: small inputs, few rounds; not to be quoted."]
    for name, case in results["cases"].items():
        head, *rows = table(case)
        out += ["", f"### {case['title']}", "", f"`{name}`. {case['note']}".strip(), ""]
        out += ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        out += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(out)


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
