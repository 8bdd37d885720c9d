"""SIGKILL while the pipeline file changes between runs, and staged files vanish.

Sizes, formats, workers and the output folder's compression change; the sink `lines` is renamed, moved,
removed and comes back. Allowed: while an epoch is decided and not yet recorded, a run under another
file may refuse (exit 65, 70, 75 or 78, and it says what to do); with the file of that epoch it has to go on.
The sink `lake` is always there and may not differ from an undisturbed run. A sink that comes and goes
misses rows, but has none twice.
"""

import shutil
from copy import deepcopy
from typing import Any

from tests.chaos.world import Chaos, World, equal, expect

REFUSED = frozenset({65, 70, 75, 78})


def run(chaos: Chaos) -> None:
    """Kill runs under changing pipeline files."""
    chaos.logs(chaos.many(12, 60))
    world, clean = chaos.world(), chaos.world("clean")
    clean.undisturbed()
    original = deepcopy(world.tree)
    last = original
    for _ in range(chaos.many(3, 30)):
        world.tree = changed(chaos, original)
        code = world.killed(chaos.chance, clean.whole)
        if code in REFUSED:
            said = world.output()
            status = world.unfinished()
            expect(status is not None, f"refused without an epoch under way, {code}: {said}")
            expect("Traceback" not in said, said)
            world.tree = last
            code = world.once()
            expect(code == 0, f"the epoch's own pipeline file exits {code}: {world.said}")
        expect(code in {None, 0}, f"exit {code}: {world.output()}")
        last = world.tree
        if chaos.chance.random() < 0.3:
            vanish(chaos, world)
        if code == 0:
            chaos.logs(4)
    world.tree = deepcopy(original)
    if world.once() in REFUSED:
        world.tree = last
        world.undisturbed()
        world.tree = deepcopy(original)
    world.undisturbed()
    clean.undisturbed()
    equal(world.lake(), clean.lake(), "lake")
    equal(world.rejects(), clean.rejects(), "rejects")
    lines = world.lines() + moved(world)
    expect(set(lines.values()) <= {1}, "rows of the sink that comes and goes came twice")
    equal(lines - clean.lines(), type(lines)(), "rows that are not in the logs")
    rows, _ = world.balance()
    equal(rows, world.lake().total(), "rows in the ledger and in the lake")


def changed(chaos: Chaos, original: dict[str, Any]) -> dict[str, Any]:
    """Return a pipeline file with some other settings."""
    tree = deepcopy(original)
    chance = chaos.chance
    lake, lines = tree["sinks"]
    lake["target_file_size"] = chance.choice((1, 20_000, 1_000_000))
    lake["format"]["compression"] = chance.choice(("zstd", "snappy", "gzip"))
    tree["engine"]["workers"] = chance.randint(1, 4)
    tree["engine"]["epoch_splits"] = chance.randint(1, 8)
    tree["engine"]["task_size"] = chance.choice((1, 20_000, 10_000_000))
    deed = chance.randrange(6)
    if deed == 0:
        tree["sinks"].remove(lines)
    elif deed == 1:
        lines["id"] = "renamed"
    elif deed == 2:
        lines["path"] = "moved/"
    elif deed == 3:
        lines["target_file_size"] = 1
    elif deed == 4:
        tree["sinks"].reverse()
    return tree


def vanish(chaos: Chaos, world: World) -> None:
    """Remove what a sink has staged."""
    staged = world.folder / chaos.chance.choice(("lake", "lines", "rejects")) / ".ktrans-staging"
    if staged.is_dir():
        shutil.rmtree(staged)


def moved(world: World) -> Any:
    """Return the rows below the path that `lines` has for some time."""
    other = World(world.folder, world.logs)
    other.visible = lambda _: World.visible(world, "moved")  # type: ignore[method-assign]
    return other.lines()
