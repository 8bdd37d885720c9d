"""SIGKILL while `stitch` joins the two directions of connections.

Pairs are joined within an epoch, and an epoch that was planned is done again with the same splits: so
with a corpus that does not grow nothing may differ from a run that nobody disturbs.
"""

import random

from tests.chaos.world import Chaos, equal, expect


def run(chaos: Chaos) -> None:
    """Kill runs that stitch."""
    chaos.logs(chaos.many(12, 60), make=both)
    world, clean = chaos.world(), chaos.world("clean")
    for each in (world, clean):
        each.tree["enrichers"] = [{"type": "stitch"}]
        each.tree["engine"]["epoch_splits"] = 3
    clean.undisturbed()
    chaos.kill_runs(world, chaos.many(2, 30), clean.whole)
    world.undisturbed()
    for sink in ("lake", "lines", "rejects"):
        equal(getattr(world, sink)(), getattr(clean, sink)(), sink)
    equal(world.texts("lines"), clean.texts("lines"), "joined rows")
    equal(world.hidden(), [], "left in hidden folders")
    rows, _ = world.balance()
    expect(rows == chaos.files * 200, f"{rows} rows were decoded")
    expect(world.lake().total() == chaos.files * 100, "not every pair is one row")


def both(chance: random.Random) -> str:
    """Return the two lines of a connection."""
    start = 1_767_225_600 + chance.randrange(3 * 86400)
    a, b = (
        f"10.0.{chance.randrange(99)}.{chance.randrange(250)}",
        f"192.0.2.{chance.randrange(250)}",
    )
    port, eni = chance.randrange(1024, 65535), f"eni-{chance.randrange(10**9)}"
    rest = f"{chance.randrange(40, 9999)} {start} {start + 60} ACCEPT OK\n"
    there = f"2 111122223333 {eni} {a} {b} {port} 443 6 {chance.randrange(1, 99)} {rest}"
    return there + f"2 111122223333 {eni} {b} {a} 443 {port} 6 {chance.randrange(1, 99)} {rest}"
