"""Runs cases in child processes, and goes on after one that crashes.

python -m tests.fuzz.campaign SECONDS [TARGET ...]    with new numbers
python -m tests.fuzz.campaign TARGET NUMBER           one case, in this process
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.targets import finding, names

ROOT = Path(__file__).parents[2]
BATCH = 400


def campaign(plan: list[tuple[str, int, int]], seconds: float) -> list[str]:
    """Run cases: (target, first number, how many); return what was found."""
    found: list[str] = []
    end = time.monotonic() + seconds
    while plan and (left := end - time.monotonic()) > 0:
        command = [sys.executable, "-m", "tests.fuzz.child", json.dumps(plan), str(left)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found += [f"{line[0]} {line[1]}: {line[2]}" for line in lines if len(line) == 3]
        if done.returncode == 0:
            break
        if not lines:
            raise RuntimeError(done.stderr)
        target, number = lines[-1][:2]
        found.append(f"{target} {number}: exit {done.returncode} {done.stderr[-2000:]}")
        plan = _after(plan, target, number)
    return found


def _after(
    plan: list[tuple[str, int, int]], target: str, number: int
) -> list[tuple[str, int, int]]:
    """Return what is left of a plan behind a case."""
    at = next(place for place, step in enumerate(plan) if step[0] == target)
    _, first, count = plan[at]
    return [(target, number + 1, first + count - number - 1), *plan[at + 1 :]]


def main(seconds: float, targets: list[str]) -> int:
    """Fuzz for some time with new numbers; print what is found, and return 1 if anything is."""
    start = number = int(time.time()) * 1000
    bad = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for each in campaign([(t, number, BATCH) for t in targets], end - time.monotonic()):
            bad += 1
            print(each, flush=True)
        number += BATCH
    print(f"numbers {start} to {number}: {bad} findings", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    if len(sys.argv) == 3 and ":" in sys.argv[1]:
        print(finding(sys.argv[1], int(sys.argv[2])))
        sys.exit()
    sys.exit(main(float(sys.argv[1]), sys.argv[2:] or names()))
