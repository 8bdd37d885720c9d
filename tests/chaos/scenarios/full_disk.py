"""A disk that fills up, or files that may not grow.

Where a tmpfs can be mounted, sinks and state are on one that is too small; elsewhere a limit of the file
size stands for it. Allowed: exit 75 that names the space; with the limit, of which SQLite says no more than
"disk I/O error", also 78 that names the state. With room again, all is as in an undisturbed run.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.world import Chaos, World, expect, limited, same


def run(chaos: Chaos) -> None:
    """Run on a disk without room, then with room."""
    chaos.logs(chaos.many(12, 40), rows=chaos.many(200, 2000))
    clean = chaos.world("clean")
    clean.undisturbed()
    if chaos.chance.random() < 0.5 and os.geteuid() == 0:
        with contextlib.ExitStack() as stack:
            disk = mounted(chaos, stack)
            if disk is not None:
                on_disk(chaos, disk, clean)
                return
    world = chaos.world()
    for _ in range(chaos.many(1, 8)):
        most = chaos.chance.choice((0, 1000, 20_000, 60_000, 200_000, 1_000_000))
        world.prefix = limited(f"--fsize={most}")
        code = world.once()
        good = code in {0, 75} or (code == 78 and "error[state_" in world.said)
        expect(good, f"files of at most {most} bytes: exit {code}: {world.said}")
        expect("Traceback" not in world.said, world.said)
    world.prefix = []
    world.undisturbed()
    same(world, clean)


def mounted(chaos: Chaos, stack: contextlib.ExitStack) -> Path | None:
    """Mount a small disk, or return None."""
    disk = chaos.folder / "disk"
    disk.mkdir()
    size = chaos.chance.choice(("300k", "1m", "2m"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=True)
            return disk
    return None


def on_disk(chaos: Chaos, disk: Path, clean: World) -> None:
    """Run with ever more room."""
    world = World(disk, chaos.folder / "logs")
    world.tree["engine"]["attempts"] = 2
    code = -1
    for size in ("1m", "2m", "3m", "4m", "1g"):
        with room(disk, size):
            code = world.once()
        expect(code in {0, 75}, f"a disk of {size}: exit {code}: {world.said}")
        expect(code == 0 or "space" in world.said.lower(), f"a disk of {size}: {world.said}")
    expect(code == 0, f"with room: exit {code}")
    same(world, clean)


@contextlib.contextmanager
def room(disk: Path, size: str) -> Iterator[None]:
    """Set the size of the disk."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=False)
    yield
