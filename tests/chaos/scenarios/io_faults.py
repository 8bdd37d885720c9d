"""System calls that fail: a write, a rename, a flush to the disk, once or from some time on.

Allowed: any exit code of the documentation, but no traceback, and not the code of a defect (70) unless
it says what failed. After that a run without faults has to leave what an undisturbed one leaves.
"""

from tests.chaos.world import SYSCALLS, Chaos, expect, same, traced

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EACCES", "EMFILE")
CODES = frozenset({0, 65, 69, 70, 75, 77, 78})


def run(chaos: Chaos) -> None:
    """Run with faults, then without."""
    chaos.logs(chaos.many(12, 40))
    world, clean = chaos.world(), chaos.world("clean")
    world.tree["engine"]["attempts"] = 2
    clean.undisturbed()
    for _ in range(chaos.many(3, 30)):
        when = f"{chaos.chance.randint(1, 60)}{chaos.chance.choice(('', '', '+', '+3'))}"
        error = chaos.chance.choice(ERRORS)
        calls = chaos.chance.choice([each for each in SYSCALLS if each != "write"])
        fault = f"error={error}:when={when}"
        world.prefix = traced(calls, fault)
        code = world.once()
        world.prefix = []
        told = f"{calls} {fault}: exit {code}: {world.said}"
        expect(code in CODES, told)
        expect("Traceback" not in world.said, told)
        expect(code == 0 or world.said.strip(), told)
        if code == 0:
            chaos.logs(4)
    code = world.once()
    expect(code in {0, 65}, f"without faults, exit {code}: {world.said}")
    world.undisturbed()
    clean.undisturbed()
    same(world, clean)
