"""A world: logs made from a seed, a pipeline over them, runs that are disturbed, and comparisons."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.integration.sites import Site, write_logs

HUNG_SECS = 600
"""A run that takes longer is a failure."""
SYSCALLS = (
    "?rename,?renameat,?renameat2",
    "fsync,fdatasync",
    "unlink,unlinkat",
    "pwrite64",
    "write",
)
"""Groups of system calls at which a run is killed, or which fail."""


class Broken(Exception):
    """A promise of ktrans does not hold."""


class Skipped(Exception):
    """This machine cannot play the scenario."""


def expect(true: object, message: object) -> None:
    """Raise an error with a message unless something is true."""
    if not true:
        raise Broken(str(message))


def equal(found: Any, expected: Any, what: str) -> None:
    """Compare two multisets or values, and say what is missing and what is too much."""
    if found == expected:
        return
    if not isinstance(found, Counter):
        raise Broken(f"{what}: {found!r} and not {expected!r}")
    missing, extra = expected - found, found - expected
    raise Broken(
        f"{what}: {found.total()} and not {expected.total()}; {missing.total()} missing, "
        f"such as {list(missing)[:2]}; {extra.total()} too many, such as {list(extra)[:2]}"
    )


class World(Site):
    """A folder with a pipeline file, which `tree` holds, and what its runs write."""

    def __init__(self, folder: Path, logs: Path) -> None:
        super().__init__(folder, logs)
        self.whole = 5.0
        self.tree: dict[str, Any] = {
            "name": "site",
            "source": {"type": "file", "paths": [str(logs)], "tail_wait": 0},
            "decoder": {"type": "aws_vpc"},
            "sinks": [
                {
                    "id": "lake",
                    "type": "file",
                    "path": "lake/date={start_time:%Y-%m-%d}/",
                    "format": {"type": "parquet"},
                },
                {"id": "lines", "type": "file", "path": "lines/", "format": {"type": "jsonl"}},
            ],
            "rejects": {"type": "file", "path": "rejects/", "limit": {"ratio": 1}},
            "state": {"path": "state/state.db"},
            "engine": {"workers": 2, "epoch_splits": 4, "task_size": 20_000, "retry_wait": 0.01},
        }

    def begin(self, *args: str) -> subprocess.Popen[bytes]:
        """Write the pipeline file and start a run in a process group of its own."""
        self.config.write_text(json.dumps(self.tree))
        command = [*self.prefix, *PROGRAM, "run", str(self.config)]
        command += ["--receipt", str(self.folder / "receipt.json"), *args]
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={**os.environ, "NO_COLOR": "1"},
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[bytes], seconds: float = HUNG_SECS) -> int:
        """Wait for a run; one that hangs is a failure."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            kill(process)
            raise Broken(f"a run hangs: not over after {seconds:.0f} s") from None

    def once(self, *args: str) -> int:
        """Run to the end and return the exit code; `said` is what it prints."""
        before = self.output_size()
        begun = time.monotonic()
        code = self.finish(self.begin(*args))
        self.whole = time.monotonic() - begun
        self.said = self.output(before)
        return code

    def undisturbed(self, *args: str) -> None:
        """Run to the end; it has to be a success."""
        code = self.once(*args)
        expect(code == 0, f"an undisturbed run of {self.folder.name} exits {code}: {self.said}")

    def output_size(self) -> int:
        """Return the size of what all runs have printed."""
        path = self.folder / "output"
        return path.stat().st_size if path.exists() else 0

    def output(self, start: int = 0) -> str:
        """Return what runs have printed from some byte on."""
        return (self.folder / "output").read_bytes()[start:].decode(errors="replace")[-4000:]

    def killed(self, chance: random.Random, whole: float) -> int | None:
        """Run and kill the run somewhere; return None, or its exit code if it was faster.

        It is killed at a random moment or, where strace is installed, at a random system call.
        """
        if shutil.which("strace") and chance.random() < 0.5:
            calls = chance.choice(SYSCALLS)
            count = chance.randint(1, 40)
            self.prefix = traced(calls, f"signal=SIGKILL:when={count}")
            code = self.finish(self.begin())
            self.prefix = []
            return code if code >= 0 else None
        process = self.begin()
        try:
            return process.wait(chance.uniform(0.3, 1.1) * whole)
        except subprocess.TimeoutExpired:
            kill(process)
            return None

    def texts(self, sink: str, without: tuple[str, ...] = ()) -> Counter[str]:
        """Return the JSON lines of a sink as a multiset, without some of their columns."""
        rows: Counter[str] = Counter()
        for path in self.visible(sink):
            for text in path.read_bytes().splitlines():
                row = json.loads(text)
                for name in without:
                    row.pop(name, None)
                rows[json.dumps(row, sort_keys=True)] += 1
        return rows

    def epochs(self) -> list[dict[str, Any]]:
        """Return the summaries of the epochs that are done."""
        with sqlite3.connect(self.folder / "state/state.db") as store:
            rows = store.execute("SELECT summary FROM epochs WHERE status = 'done'").fetchall()
        store.close()
        return [json.loads(text) for (text,) in rows]

    def unfinished(self) -> str | None:
        """Return the status of the epoch under way, if there is one."""
        path = self.folder / "state/state.db"
        if not path.exists():
            return None
        with sqlite3.connect(path) as store:
            found = store.execute("SELECT status FROM epochs WHERE status != 'done'").fetchone()
        store.close()
        return found and found[0]

    def balance(self) -> tuple[int, int]:
        """Check the equation of every epoch's ledger, and give the sums of its rows and rejects."""
        rows = rejects = 0
        for number, summary in enumerate(self.epochs(), 1):
            ledger = summary["ledger"]
            made, bad = ledger["decoded"]["rows"], sum(ledger["rejected"].values())
            known = made + bad + ledger["skipped"]
            expect(ledger["records"] == known, f"epoch {number} does not add up: {ledger}")
            rows, rejects = rows + made, rejects + bad
        return rows, rejects


PROGRAM = [sys.executable, "-m", "ktrans"]


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a run and all that belongs to it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def limited(*limits: str) -> list[str]:
    """Return the command before a command that has less of something: see prlimit(1)."""
    if shutil.which("prlimit") is None:
        raise Skipped("prlimit is not installed")
    return ["prlimit", *limits, "--"]


def traced(calls: str, deed: str, paths: Sequence[Path] = ()) -> list[str]:
    """Return the command before a command that disturbs some of its system calls.

    Args:
        calls: the system calls.
        deed: what becomes of them; see the option `inject` of strace(1).
        paths: only calls on these files; on all if there are none.
    """
    if shutil.which("strace") is None:
        raise Skipped("strace is not installed")
    command = ["strace", "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null"]
    for path in paths:
        command += ["-P", str(path)]
    return [*command, "-e", f"trace={calls}", "-e", f"inject={calls}:{deed}"]


def same(world: World, clean: World, *, ledger: bool = True) -> None:
    """Compare all that a world has written with what an undisturbed one has, and its ledger."""
    for name in ("lake", "lines", "rejects"):
        equal(getattr(world, name)(), getattr(clean, name)(), name)
    expect(set(world.lake().values()) <= {1}, "rows came twice, in the clean run too")
    equal(world.hidden(), [], "left in hidden folders")
    if not ledger:
        return
    rows, rejects = world.balance()
    equal(rows, world.lake().total(), "rows in the ledger and in the lake")
    equal(rejects, world.rejects().total(), "rejects in the ledger and in the files")


class Chaos:
    """What a scenario is given: chance, a folder, and how much it should do.

    Attributes:
        chance: all that is random follows from the seed.
        short: whether a few seconds have to do.
    """

    def __init__(self, name: str, seed: int, folder: Path, *, short: bool) -> None:
        self.chance = random.Random(f"{name} {seed}")
        self.folder = folder
        self.short = short
        self.files = 0

    def many(self, few: int, most: int) -> int:
        """Return how often to do something: `few` in the short form."""
        return few if self.short else self.chance.randint(few, most)

    def world(self, name: str = "site") -> World:
        """Make a world over the logs of the scenario."""
        return World(self.folder / name, self.folder / "logs")

    def logs(
        self, count: int, rows: int = 100, make: Callable[[random.Random], str] | None = None
    ) -> None:
        """Write more logs."""
        write_logs(self.folder / "logs", self.files, count, rows, make=make)
        self.files += count

    def kill_runs(self, world: World, kills: int, whole: float, more: int = 0) -> None:
        """Kill runs, some of which may get through; `more` logs arrive whenever one does."""
        for _ in range(kills):
            code = world.killed(self.chance, whole)
            expect(code in {None, 0}, f"a run that nobody killed exits {code}: {world.output()}")
            if code == 0:
                self.logs(more)
