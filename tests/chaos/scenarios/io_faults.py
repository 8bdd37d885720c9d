"""System calls that fail: a read, a write, a rename, a flush to the disk, once or from some time on.

Allowed: any exit code of the documentation that says why, but no traceback and no defect. After that a run
without faults has to leave what an undisturbed one leaves.
"""

from pathlib import Path

from tests.chaos.world import SYSCALLS, Chaos, World, expect, same, traced

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EACCES", "EMFILE")
STATE_CALLS = ("pread64", "pwrite64", "fsync,fdatasync", "openat", "ftruncate", "unlink")
CODES = frozenset({0, 65, 69, 70, 75, 77, 78})


def run(chaos: Chaos) -> None:
    """Run with faults, then without."""
    chaos.logs(chaos.many(12, 40))
    world, clean = chaos.world(), chaos.world("clean")
    world.tree["engine"]["attempts"] = 2
    clean.undisturbed()
    for _ in range(chaos.many(2, 30)):
        when = f"{chaos.chance.randint(1, 60)}{chaos.chance.choice(('', '', '+', '+3'))}"
        error = chaos.chance.choice(ERRORS)
        calls, paths = target(chaos, world)
        fault = f"error={error}:when={when}"
        world.prefix = traced(calls, fault, paths)
        code = world.once()
        world.prefix = []
        told = f"{calls} {fault}: exit {code}: {world.said}"
        expect(code in CODES, told)
        expect("Traceback" not in world.said and "error[defect]" not in world.said, told)
        expect(code == 0 or world.said.strip(), told)
        if code == 0:
            chaos.logs(4)
    code = world.once()
    expect(code in {0, 65}, f"without faults, exit {code}: {world.said}")
    world.undisturbed()
    clean.undisturbed()
    same(world, clean)


def target(chaos: Chaos, world: World) -> tuple[str, list[Path]]:
    """Choose which system calls fail, and on which files: all, those of the state, or the logs."""
    deed = chaos.chance.randrange(3)
    if deed == 0:
        return chaos.chance.choice([each for each in SYSCALLS if each != "write"]), []
    if deed == 1:
        store = world.folder / "state/state.db"
        paths = [store, *(store.with_name(f"state.db-{end}") for end in ("wal", "shm", "journal"))]
        return chaos.chance.choice(STATE_CALLS), paths
    return chaos.chance.choice(("read", "openat", "fstat")), sorted(world.logs.iterdir())
