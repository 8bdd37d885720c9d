"""Plays scenarios at random for some time.

    python -m tests.chaos --minutes 60
    python -m tests.chaos --only kill_random --seed 7 --rounds 1
    python -m tests.chaos --list

A failure prints the command that plays it again, and keeps its folder. What is random follows from the
seed; at which moment a run is killed depends on the machine too.
"""

import argparse
import importlib
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.chaos import scenarios
from tests.chaos.world import Broken, Chaos, Skipped


def names() -> list[str]:
    """Return the names of all scenarios."""
    return [module.name for module in pkgutil.iter_modules(scenarios.__path__)]


def play(name: str, seed: int, folder: Path, *, short: bool) -> None:
    """Play a scenario in a folder.

    Raises:
        Broken: a promise does not hold.
        Skipped: this machine cannot play it.
    """
    module = importlib.import_module(f"tests.chaos.scenarios.{name}")
    module.run(Chaos(name, seed, folder, short=short))


class Progress:
    """Shows on a terminal what is being played."""

    def __init__(self, minutes: float) -> None:
        self.begun = time.monotonic()
        self.minutes = minutes
        self.failures = 0
        self.terminal = sys.stdout.isatty()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.begun + self.minutes * 60 - time.monotonic()

    def playing(self, name: str, seed: int, done: int) -> None:
        """Show what begins."""
        if self.terminal:
            passed = (time.monotonic() - self.begun) / 60
            text = f"{passed:.1f} of {self.minutes:g} min, {done} played, {self.failures} failed; {name} {seed}"
            print(f"\r\033[K{text}", end="", flush=True)

    def tell(self, text: str) -> None:
        """Print a line."""
        print(f"\r\033[K{text}" if self.terminal else text, flush=True)


def campaign(options: argparse.Namespace) -> int:
    """Play scenarios until the time is over; return 1 if any failed."""
    base = options.folder or Path(tempfile.mkdtemp(prefix="ktrans-chaos-"))
    progress = Progress(options.minutes)
    played: Counter[str] = Counter()
    skipped: dict[str, str] = {}
    seed = options.seed
    chosen = options.only or names()
    while progress.left > 0 and played.total() < options.rounds and set(chosen) - set(skipped):
        name = random.Random(seed).choice([each for each in chosen if each not in skipped])
        progress.playing(name, seed, played.total())
        folder = base / f"{name}-{seed}"
        folder.mkdir(parents=True)
        begun = time.monotonic()
        try:
            play(name, seed, folder, short=options.short)
        except Skipped as reason:
            skipped[name] = str(reason)
            progress.tell(f"{name}: skipped, {reason}")
        except Exception as error:
            progress.failures += 1
            played[name] += 1
            what = str(error) if isinstance(error, Broken) else traceback.format_exc()
            short = " --short" if options.short else ""
            progress.tell(f"FAILED {name}: {what}")
            print(f"  again: python -m tests.chaos --only {name} --seed {seed} --rounds 1{short}")
            print(f"  folder: {folder}", flush=True)
            seed += 1
            continue
        else:
            played[name] += 1
            if not progress.terminal:
                print(f"{name} {seed}: good, {time.monotonic() - begun:.0f} s", flush=True)
        shutil.rmtree(folder)
        seed += 1
    what = ", ".join(f"{name} {count}" for name, count in sorted(played.items()))
    progress.tell(f"{played.total()} played ({what}), {progress.failures} failed")
    if not progress.failures and options.folder is None:
        shutil.rmtree(base)
    return int(progress.failures > 0)


def main() -> int:
    """Read the options and play."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=60, help="for how long (60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round")
    parser.add_argument("--rounds", type=int, default=sys.maxsize, help="stop after so many")
    parser.add_argument("--only", action="append", choices=names(), help="may be repeated")
    parser.add_argument("--short", action="store_true", help="small worlds, as in the tests")
    parser.add_argument("--folder", type=Path, help="where the worlds are; a temporary folder")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    options = parser.parse_args()
    if options.list:
        for name in names():
            module = importlib.import_module(f"tests.chaos.scenarios.{name}")
            print(f"{name:20}{(module.__doc__ or '').splitlines()[0]}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that disks are unmounted
    return campaign(options)


if __name__ == "__main__":
    sys.exit(main())
