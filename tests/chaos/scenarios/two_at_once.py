"""Several runs of one pipeline at once, some of them killed.

Allowed: a run that finds the pipeline locked exits 75 and says so, or 0 with `--if-locked skip`. The
rows may not differ.
"""

import time

from tests.chaos.world import Chaos, expect, kill, same


def run(chaos: Chaos) -> None:
    """Start runs side by side, again and again."""
    chaos.logs(chaos.many(12, 60))
    world, clean = chaos.world(), chaos.world("clean")
    clean.undisturbed()
    for _ in range(chaos.many(1, 12)):
        options = [chaos.chance.choice(((), ("--if-locked", "skip"))) for _ in range(3)]
        runs = []
        for option in options:
            runs.append(world.begin(*option))
            time.sleep(chaos.chance.choice((0, chaos.chance.uniform(0, clean.whole / 2))))
        victim = chaos.chance.randrange(4)
        if victim < 3:
            kill(runs[victim])
        codes = [world.finish(process) for process in runs]
        expect(set(codes) <= {0, 75, -9}, f"exit codes {codes}: {world.output()}")
        expect(
            75 not in codes or "locked" in world.output(), f"75 without a word: {world.output()}"
        )
        chaos.logs(3)
    world.undisturbed()
    clean.undisturbed()
    same(world, clean)
