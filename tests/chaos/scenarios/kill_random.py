"""SIGKILL at random moments and system calls, while logs arrive.

Nothing may differ from a run that nobody disturbs.
"""

from tests.chaos.world import Chaos, same


def run(chaos: Chaos) -> None:
    """Kill runs over a growing corpus."""
    chaos.logs(chaos.many(12, 80))
    world, clean = chaos.world(), chaos.world("clean")
    world.tree["engine"]["epoch_splits"] = chaos.chance.randint(2, 12)
    clean.undisturbed()
    chaos.kill_runs(world, chaos.many(2, 30), clean.whole, more=5)
    world.undisturbed()
    clean.undisturbed()
    same(world, clean)
