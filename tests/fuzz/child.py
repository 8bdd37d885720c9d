"""Runs cases in a process of its own, which may crash.

    python -m tests.fuzz.child '[["reader:json", 0, 100]]' SECONDS

Each line of the output is JSON: target and number of the case that begins, or what a case has shown.
"""

import json
import resource
import signal
import sys
import time

import pyarrow as pa

from tests.fuzz.targets import finding

MEMORY_BYTES = 3 << 30
"""Address space of the process: a small input that needs more is a finding."""
CASE_SECONDS = 20
"""A case that takes longer is a finding."""


def _late(*_: object) -> None:
    raise TimeoutError(f"more than {CASE_SECONDS} s")


def main(plan: list[tuple[str, int, int]], seconds: float) -> None:
    """Run cases, the targets in turn, and print what they show."""
    pa.set_cpu_count(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _late)
    end = time.monotonic() + seconds
    for target, first, count in plan:
        for number in range(first, first + count):
            if time.monotonic() > end:
                return
            print(json.dumps([target, number]), flush=True)
            signal.alarm(CASE_SECONDS)
            found = finding(target, number)
            signal.alarm(0)
            if found is not None:
                print(json.dumps([target, number, found]), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), float(sys.argv[2]))
