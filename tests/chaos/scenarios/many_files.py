"""A hundred thousand small files (a thousand in the short form), and kills.

Nothing may differ from what was written.
"""

from collections import Counter

from tests.chaos.world import Chaos, equal, expect
from tests.integration.sites import HEADER

FOLDERS = 100


def run(chaos: Chaos) -> None:
    """Kill runs over very many files."""
    count = 1000 if chaos.short else 100_000
    logs = chaos.folder / "logs"
    for number in range(FOLDERS):
        (logs / f"{number:02}").mkdir(parents=True)
    for number in range(count):
        line = (
            f"2 111122223333 eni-1 10.0.0.1 192.0.2.1 {number % 60000} 443 6 1 {number} "
            "1767225600 1767225660 ACCEPT OK\n"
        )
        (logs / f"{number % FOLDERS:02}/{number}.log").write_text(HEADER + line)
    world = chaos.world()
    world.tree["engine"].update(epoch_splits=count // 4, task_size="64 MiB")
    del world.tree["sinks"][0]
    whole = 4.0 if chaos.short else 60.0
    for _ in range(chaos.many(1, 5)):
        code = world.killed(chaos.chance, whole)
        expect(code in {None, 0}, f"exit {code}: {world.output()}")
    world.undisturbed()
    equal(Counter(key[3] for key in world.lines().elements()), Counter(range(count)), "rows")
    equal(world.balance(), (count, 0), "the ledger")
    world.undisturbed()
    expect(world.receipt["outcome"] == "nothing_to_do", world.receipt["outcome"])
