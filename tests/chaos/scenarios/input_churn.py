"""SIGKILL while files are deleted, replaced, renamed and put back between runs.

Allowed: exit 65 while a file is not what was planned, since the next run plans what is there then. A
version of a file that is gone may have been read or not, but whole or not at all. A file that is
renamed is a new file. What is there in the end has been read, whole, once.
"""

import json
import subprocess
from collections import Counter
from pathlib import Path

from tests.chaos.world import Chaos, World, equal, expect, kill
from tests.integration.sites import write_logs

ROWS = 100


def run(chaos: Chaos) -> None:
    """Kill runs over files that change."""
    corpus = Corpus(chaos)
    for _ in range(chaos.many(12, 60)):
        corpus.add()
    world = chaos.world()
    world.tree["engine"]["epoch_splits"] = 5
    whole = 5.0
    for _ in range(chaos.many(3, 40)):
        process = world.begin()
        try:
            for _ in range(chaos.chance.randint(0, 6)):
                corpus.change()
            process.wait(chaos.chance.uniform(0.3, 1.2) * whole)
        except subprocess.TimeoutExpired:
            kill(process)
        expect(process.returncode in {-9, 0, 65}, f"exit {process.returncode}: {world.output()}")
        for _ in range(chaos.chance.randint(0, 8)):
            corpus.change()
    code = world.once()
    expect(code in {0, 65}, f"exit {code}: {world.said}")
    world.undisturbed()
    compare(world, corpus)


class Corpus:
    """The files of the logs; every version of one has interfaces of its own."""

    def __init__(self, chaos: Chaos) -> None:
        self.chance = chaos.chance
        self.folder = chaos.folder / "logs"
        self.versions = 0
        self.known: dict[str, int] = {}
        """The version of every file that is there, by name."""

    def add(self, name: str = "") -> None:
        """Write a new version of a file, or a new file."""
        self.versions += 1
        version = self.versions
        write_logs(self.folder, version, 1, ROWS, 0, lambda chance: line(chance, version))
        name = name or f"{version:05}.log.gz"
        (self.folder / f"{version:05}.log.gz").rename(self.folder / name)
        self.known[name] = version

    def change(self) -> None:
        """Delete, replace, rename or add a file."""
        deed = self.chance.randrange(5)
        if deed == 0 or not self.known:
            self.add()
            return
        name = self.chance.choice(sorted(self.known))
        if deed == 1:
            (self.folder / name).unlink()
            del self.known[name]
        elif deed == 2:
            self.add(name)
        elif deed == 3:
            other = f"{self.chance.randrange(10**6):06}.renamed.log.gz"
            (self.folder / name).rename(self.folder / other)
            self.known[other] = self.known.pop(name)
        else:
            (self.folder / name).touch()


def line(chance, version: int) -> str:
    """Return a line that names the version of its file."""
    start = 1_767_225_600 + chance.randrange(86400)
    return (
        f"2 111122223333 eni-{version} 10.0.0.{chance.randrange(250)} 192.0.2.1 "
        f"{chance.randrange(1024, 65535)} 443 6 1 {chance.randrange(10**9)} {start} {start} ACCEPT OK\n"
    )


def compare(world: World, corpus: Corpus) -> None:
    """Check that every version of a file is there whole or not at all."""

    found: Counter[tuple[str, int]] = Counter()
    for text, count in world.texts("lines").items():
        row = json.loads(text)
        name = Path(row["source_uri"]).name
        found[name, int(row["interface_id"][4:])] += count
    partly = {key: count for key, count in found.items() if count != ROWS}
    equal(partly, {}, "versions of files that are not there once")
    missing = set(corpus.known.items()) - set(found)
    equal(missing, set(), "files that were not read")
    expect(set(world.lake().values()) <= {1}, "rows came twice")
    equal(world.lake().total(), found.total(), "rows in the lake and in the lines")
    equal(world.balance()[0], found.total(), "rows in the ledger")
    equal(world.hidden(), [], "left in hidden folders")
