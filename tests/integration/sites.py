"""Real processes over real files: a corpus of logs, a pipeline over it, and ways to compare."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

Make = Callable[[random.Random], str]

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status\n"
)


class Site:
    """A folder with logs, a pipeline file and what it writes."""

    def __init__(self, folder: Path, logs: Path):
        self.folder = folder
        self.logs = logs
        self.config = folder / "pipeline.yaml"
        self.extra = ""
        self.prefix = []
        folder.mkdir(parents=True, exist_ok=True)

    def write_config(self, **engine):
        settings = {"workers": 2, "epoch_splits": 12, "task_size": 20000, "retry_wait": 0.01}
        settings.update(engine)
        self.config.write_text(
            f"""
name: site
source: {{type: file, paths: ["{self.logs}"]}}
decoder: {{type: aws_vpc}}
sinks:
  - id: lake
    type: file
    path: "lake/date={{start_time:%Y-%m-%d}}/"
    format: {{type: parquet}}
  - id: lines
    type: file
    path: lines/
    format: {{type: jsonl}}
rejects: {{type: file, path: rejects/}}
state: {{path: state/state.db}}
engine: {json.dumps(settings)}
{self.extra}
"""
        )
        return self

    def drop_privileges(self):
        """Let permissions count even for root: run without its capabilities."""
        if os.geteuid() == 0:
            self.prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]

    def start(self, *args):
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "ktrans", "run", str(self.config), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self, *args):
        process = self.start("--receipt", str(self.folder / "receipt.json"), *args)
        out, err = process.communicate(timeout=300)
        self.stderr = err.decode()
        self.stdout = out.decode()
        return process.returncode

    @property
    def receipt(self):
        return json.loads((self.folder / "receipt.json").read_text())

    def lake(self):
        """Rows of the Parquet sink, as a multiset."""
        columns = ["source_uri", "source_pos", "src_addr", "src_port", "bytes", "packets"]
        rows = Counter()
        for path in self.visible("lake"):
            table = pq.ParquetFile(path).read(columns)
            rows.update(zip(*(table.column(c).to_pylist() for c in columns), strict=True))
        return rows

    def lines(self):
        """Rows of the JSON lines sink, as a multiset."""
        rows = Counter()
        for path in self.visible("lines"):
            for line in path.read_bytes().splitlines():
                row = json.loads(line)
                rows[
                    row["source_uri"], row["source_pos"], row.get("src_addr"), row.get("bytes")
                ] += 1
        return rows

    def rejects(self):
        """Rejects, as a multiset."""
        rows = Counter()
        for path in self.visible("rejects"):
            for line in path.read_bytes().splitlines():
                row = json.loads(line)
                rows[row["source_uri"], row.get("source_pos"), row["reason"], row.get("raw")] += 1
        return rows

    def visible(self, sink):
        """Published files of a sink: all but what lies in hidden folders."""
        root = self.folder / sink
        found = []
        for folder, below, names in os.walk(root):  # goes on if a folder vanishes meanwhile
            below[:] = [name for name in below if name[0] != "."]
            found += [Path(folder, name) for name in names if name[0] != "."]
        return sorted(found)

    def check_same(self, clean):
        """Check that the rows and rejects are those of a clean run, each row once, and nothing is left."""
        assert self.lake() == clean.lake()
        assert self.lines() == clean.lines()
        assert self.rejects() == clean.rejects()
        assert self.hidden() == []
        assert max(self.lake().values()) == 1

    def hidden(self):
        """What lies in hidden folders and files below the sinks: nothing, after a good run."""
        return [
            path
            for sink in ("lake", "lines", "rejects")
            for path in (self.folder / sink).rglob("*")
            if any(part[0] == "." for part in path.relative_to(self.folder).parts)
        ]


def write_logs(
    folder: Path, first: int, count: int, rows: int = 300, bad: int = 3, make: Make | None = None
):
    """Write gzip files of AWS v2 lines, with a few bad ones in between."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        rng = random.Random(number)
        lines = [(make or line)(rng) for _ in range(rows)]
        for _ in range(bad):
            lines.insert(rng.randrange(len(lines)), f"2 1234 eni-{rng.random()} broken\n")
        data = gzip.compress((HEADER + "".join(lines)).encode(), 1)
        temporary = folder / f".{number:05}.tmp"
        temporary.write_bytes(data)
        temporary.rename(folder / f"{number:05}.log.gz")


def line(rng):
    start = 1_767_225_600 + rng.randrange(3 * 86400)
    return (
        f"2 111122223333 eni-{rng.randrange(20):04} 10.0.{rng.randrange(8)}.{rng.randrange(250)} "
        f"192.0.2.{rng.randrange(250)} {rng.randrange(1024, 65535)} {rng.choice([443, 53, 22])} 6 "
        f"{rng.randrange(1, 99)} {rng.randrange(40, 99999)} {start} {start + 60} "
        f"{rng.choice(['ACCEPT', 'REJECT'])} OK\n"
    )
