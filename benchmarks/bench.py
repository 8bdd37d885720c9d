"""Measures ktrans beside DuckDB, Polars and a plain Python loop.

    python benchmarks/bench.py [--quick] [--case NAME ...] [--rounds 5] [--minutes 22] [--out FILE]

Every contender is a process of its own. A round runs every contender of every case once, and the order
within a case changes from round to round, so that a busy machine treats them alike. No further round
begins that would end after `--minutes`. What contenders write is read back before a figure counts:
rows, sum of bytes, sum of packets. This process stays small (see measure.py), so making input and
checking output are processes too. Where the native code is built, some cases have ktrans with it as well.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import report
from cases import CASES, Case, Contender
from datasets import prepare
from measure import Measured, run
from servers import SERVERS

HERE = Path(__file__).parent
WORK = datasets.DATA / "work"
FIGURES = ("wall_secs", "cpu_secs", "rss_mb")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, 2 rounds")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this; repeat")
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 2")
    parser.add_argument(
        "--minutes", type=float, default=22, help="begin no round that would end later; default 22"
    )
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    parser.add_argument("--prepare", action="store_true", help="make the inputs, measure nothing")
    args = parser.parse_args()
    os.environ["KTRANS_NATIVE"] = "0"  # but for the contenders that are said to use it
    names = args.case or list(CASES)
    for name in names:
        for contender in CASES[name].contenders:
            prepare(contender.dataset or CASES[name].dataset, quick=args.quick)
    if args.prepare:
        return 0
    rounds = args.rounds or (2 if args.quick else 5)
    try:
        results = measure(names, rounds, args.minutes * 60, quick=args.quick, out=args.out)
    finally:
        SERVERS.close()
    print("\n" + report.plain(results))
    return 1 if any(entry["error"] for entry in report.entries(results)) else 0


def measure(
    names: list[str], rounds: int, limit_secs: float, *, quick: bool, out: Path | None
) -> dict[str, Any]:
    """Run rounds over the cases until there are enough, or the time is over."""
    results: dict[str, Any] = {
        "machine": report.machine(),
        "taken": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "quick": quick,
        "left_out": {},
        "cases": {name: blank(CASES[name], quick=quick) for name in names},
    }
    began = last = time.monotonic()
    for turn in range(rounds):
        for name in names:
            case = CASES[name]
            if (case.rounds and turn >= case.rounds) or name in results["left_out"]:
                continue
            if missing := SERVERS.missing(case.servers):
                print(f"{name} is left out: {missing}", flush=True)
                results["left_out"][name] = missing
                del results["cases"][name]
                continue
            measure_case(name, case, results["cases"][name]["contenders"], turn, quick=quick)
        if out:
            out.write_text(json.dumps(results, indent=1) + "\n")
        now = time.monotonic()
        print(f"round {turn + 1} of {rounds} took {now - last:.0f} s", flush=True)
        if now - began + (now - last) > limit_secs:
            break
        last = now
    return results


def blank(case: Case, *, quick: bool) -> dict[str, Any]:
    """Return the results of a case before it was measured."""
    contenders = []
    for contender in case.contenders:
        data = prepare(contender.dataset or case.dataset, quick=quick)
        count = contender.count or (data.records if data else 0)
        contenders.append(
            {
                "name": contender.name,
                "ours": contender.ours,
                "rows": count,
                "rounds": [],
                "error": "",
            }
        )
    return {
        "title": case.title,
        "note": case.note,
        "unit": case.unit,
        "contenders": contenders,
    }


def measure_case(
    name: str, case: Case, entries: list[dict[str, Any]], turn: int, *, quick: bool
) -> None:
    """Run each contender of a case once, beginning with another one each time."""
    count = len(entries)
    for place in range(count):
        contender, entry = case.contenders[(turn + place) % count], entries[(turn + place) % count]
        if entry["error"]:
            continue
        data = prepare(contender.dataset or case.dataset, quick=quick)
        measured, entry["error"] = attempt(name, contender, data)
        figures = asdict(measured)
        if entry["error"]:
            print(f"{name}: {contender.name} failed: {entry['error']}", flush=True)
        else:
            entry["rounds"].append({key: round(figures[key], 4) for key in FIGURES})
            print(
                f"{name:18} {contender.name:24} {measured.wall_secs:7.2f} s "
                f"{measured.cpu_secs:7.2f} CPU s {measured.rss_mb:6.0f} MB",
                flush=True,
            )


def attempt(
    case: str, contender: Contender, data: datasets.Prepared | None
) -> tuple[Measured, str]:
    """Run a contender once in an empty folder and check what it wrote."""
    folder = WORK / case / contender.name.replace(" ", "-").replace("%", "pc")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    command = contender.command(data, folder)  # type: ignore[arg-type]
    measured = run(command, folder)
    error = ""
    if measured.exit_code:
        error = f"exit code {measured.exit_code}: {measured.error}"
    if contender.fetch:
        subprocess.run(contender.fetch(data, folder), check=True)  # type: ignore[arg-type]
    if not error and contender.form and data is not None:
        error = mismatch(folder / "out", contender.form, data)
    if not error:
        shutil.rmtree(folder)
    return measured, error


def mismatch(out: Path, form: str, data: datasets.Prepared) -> str:
    """Compare an output with what the input holds; the empty text if they agree."""
    words = [sys.executable, str(HERE / "check.py"), str(out), form]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        return f"the output cannot be read back: {done.stderr.splitlines()[-1]}"
    found = json.loads(done.stdout)
    expected = {"rows": data.rows, "packets": data.packets, "bytes": data.bytes}
    return "" if found == expected else f"the output holds {found}, not {expected}"


if __name__ == "__main__":
    sys.exit(main())
