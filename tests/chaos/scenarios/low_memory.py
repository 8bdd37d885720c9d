"""Less address space than a run wants (RLIMIT_AS).

Allowed: exit 75 that speaks of memory. Nothing may be quarantined or be rejected for it, and no run may hang.
With less than a process needs to start, Python may end in other ways, so limits begin above that.
"""

import time
from pathlib import Path

from tests.chaos.world import Chaos, World, expect, limited, same

HUNG_SECS = 240


def run(chaos: Chaos) -> None:
    """Run with ever other limits, then without."""
    chaos.logs(chaos.many(8, 20), rows=chaos.many(1000, 20_000))
    world, clean = chaos.world(), chaos.world("clean")
    for each in (world, clean):
        each.tree["engine"].update(workers=4, task_size="64 MiB", epoch_splits=100)
    least, most = peak(clean, "--dry-run", "--limit", "1"), peak(clean)
    for _ in range(chaos.many(1, 8)):
        limit = int(chaos.chance.uniform(least * 1.02, max(most, least * 1.1)))
        world.prefix = limited(f"--as={limit}")
        code = world.finish(world.begin(), HUNG_SECS)
        said = world.output()
        told = f"{limit >> 20} MB ({least >> 20} to {most >> 20}): exit {code}: {said}"
        expect(code in {0, 75}, told)
        expect(code == 0 or "memory" in said.lower(), told)
        world.prefix = []
    world.undisturbed()
    same(world, clean)


def peak(world: World, *args: str) -> int:
    """Run to the end and return the greatest address space that was seen."""
    process = world.begin(*args)
    found = 0
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmPeak:"):
                found = int(line.split()[1]) * 1024
        time.sleep(0.005)
    expect(process.returncode == 0, f"exit {process.returncode}: {world.output()}")
    return found
