"""Runs the simulations of simulate.py, each in a process of its own, and collects their figures.

python benchmarks/bench_scale.py [--quick] [--case NAME ...] [--out scale.json]
                                      [--objects N] [--accounts N] [--days N]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import report
from measure import run

HERE = Path(__file__).parent

_STATE = ("state", "--accounts", "500", "--every-hours", "6")
_FEW = ("state", "--accounts", "5", "--every-hours", "6")
CASES: dict[str, tuple[str, ...]] = {
    "plan": ("plan", "--objects", "10000000", "--prefixes", "10000"),
    "listing": ("plan", "--objects", "100000", "--prefixes", "10000"),
    "state-sqlite": (*_STATE, "--days", "10"),
    "state-short": (*_STATE, "--days", "3", "--lookback", "2h"),
    "state-bucket": (*_STATE, "--days", "5", "--store", "bucket"),
    "year": ("state", "--accounts", "10", "--every-hours", "6", "--days", "365"),
}
QUICK: dict[str, tuple[str, ...]] = {
    "plan": ("plan", "--objects", "20000", "--prefixes", "200"),
    "listing": ("plan", "--objects", "2000", "--prefixes", "200"),
    "state-sqlite": (*_FEW, "--days", "4"),
    "state-short": (*_FEW, "--days", "3", "--lookback", "2h"),
    "state-bucket": (*_FEW, "--days", "4", "--store", "bucket"),
    "year": ("state", "--accounts", "2", "--every-hours", "24", "--days", "20"),
}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="far fewer objects")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this; repeat")
    parser.add_argument("--objects", type=int, help="plan so many objects instead")
    parser.add_argument(
        "--accounts", type=int, help="simulate the state of so many accounts instead"
    )
    parser.add_argument("--days", type=int, help="simulate so many days of state instead")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    args = parser.parse_args()
    results: dict[str, Any] = {
        "machine": report.machine(),
        "taken": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "quick": args.quick,
        "cases": {},
    }
    if args.out and args.out.exists():  # cases that are not run again stay
        results["cases"] = json.loads(args.out.read_text())["cases"]
    failed = False
    for name in args.case or CASES:
        words = (QUICK if args.quick else CASES)[name]
        for option in ("objects",) if name == "plan" else ("accounts", "days"):
            if getattr(args, option) and name != "listing":
                words = (*words, f"--{option}", str(getattr(args, option)))
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(HERE / "simulate.py"), *words]
            measured = run(command, Path(folder))
            if measured.exit_code:
                print(f"{name} failed: {measured.error}", flush=True)
                failed = True
                continue
            found = json.loads((Path(folder) / "output.txt").read_text().splitlines()[-1])
        results["cases"][name] = {
            "command": " ".join(words),
            "wall_secs": measured.wall_secs,
            "cpu_secs": measured.cpu_secs,
            "rss_mb": measured.rss_mb,
            **found,
        }
        print(
            f"{name:14} {found['objects']:12,} objects  {measured.cpu_secs:8.1f} CPU s  "
            f"{measured.rss_mb:6.0f} MB",
            flush=True,
        )
        if args.out:
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
