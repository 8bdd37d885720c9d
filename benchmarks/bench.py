"""Measures ktrans beside DuckDB, Polars and a plain Python loop.

    python benchmarks/bench.py [--quick] [--case NAME ...] [--rounds 5] [--out results.json]

Every contender is a process of its own; they take turns, so that a busy machine treats them alike.
What they write is read back before a figure counts: rows, sum of bytes, sum of packets. This
process stays small (see measure.py), so making input and checking output are processes too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import remote
import report
from cases import CASES, Case, Contender
from datasets import prepare
from measure import Measured, run

HERE = Path(__file__).parent
WORK = datasets.DATA / "work"
QUICK_ROUNDS = 2


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument(
        "--case", action="append", choices=[*CASES, *remote.CASES], help="only this; repeat"
    )
    parser.add_argument("--rounds", type=int, help=f"default 5, with --quick {QUICK_ROUNDS}")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    args = parser.parse_args()
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else 5)
    results: dict[str, Any] = {"machine": report.machine(), "quick": args.quick, "cases": {}}
    failed = 0
    for name in [name for name in args.case or CASES if name in CASES]:
        print(f"\n{name}: {CASES[name].title}", flush=True)
        measured = measure_case(name, CASES[name], rounds, quick=args.quick)
        results["cases"][name] = measured
        failed += sum(bool(entry["error"]) for entry in measured["contenders"])
        print(report.plain(measured), flush=True)
        if args.out:
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    chosen = [name for name in args.case or remote.CASES if name in remote.CASES]
    results["remote"] = remote.measure(chosen, rounds=min(rounds, 3), quick=args.quick)
    failed += sum("error" in told for case in results["remote"].values() for told in case.values())
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


def measure_case(name: str, case: Case, rounds: int, *, quick: bool) -> dict[str, Any]:
    """Let the contenders of a case take turns."""
    entries: list[dict[str, Any]] = []
    for contender in case.contenders:
        data = prepare(contender.dataset or case.dataset, quick=quick)
        entries.append(
            {
                "name": contender.name,
                "ours": contender.ours,
                "rows": data.records if data else 0,
                "rounds": [],
                "error": "",
            }
        )
    count = len(entries)
    for turn in range(rounds):
        for place in range(count):
            index = (turn + place) % count
            contender, entry = case.contenders[index], entries[index]
            if entry["error"]:
                continue
            data = prepare(contender.dataset or case.dataset, quick=quick)
            measured, error = attempt(name, contender, data)
            entry["error"] = error
            if not error:
                figures = asdict(measured)
                entry["rounds"].append(
                    {key: figures[key] for key in ("wall_secs", "cpu_secs", "rss_mb")}
                )
    return {"title": case.title, "note": case.note, "contenders": entries}


def attempt(
    case: str, contender: Contender, data: datasets.Prepared | None
) -> tuple[Measured, str]:
    """Run a contender once in an empty folder and check what it wrote."""
    folder = WORK / case / contender.name.replace(" ", "-").replace("%", "pc")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    command = contender.command(data, folder)  # type: ignore[arg-type]
    measured = run(command, folder)
    if measured.exit_code:
        return measured, f"exit code {measured.exit_code}: {measured.error}"
    error = ""
    if contender.form and data is not None:
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
