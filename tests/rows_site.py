"""A folder with a pipeline from a source of AWS to JSON lines, and what it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter


def line_of(number):
    """Return a line of a VPC flow log whose number can be found again."""
    return (
        f"2 123456789012 eni-{number % 7:04} 10.0.0.{number % 250} 192.0.2.7 443 49152 6 10 {number}"
        f" {1_790_000_000 + number} {1_790_000_060 + number} ACCEPT OK"
    )


FORMAT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end"
    " action log-status"
)


class RowsSite:
    """A pipeline, run as processes."""

    def __init__(self, folder, source, engine=None):
        self.folder = folder
        self.config = folder / "pipeline.yaml"
        settings = {"workers": 2, "retry_wait": 0.01, "poll_interval": 0.1, **(engine or {})}
        pipeline = {
            "name": "site",
            "source": source,
            "decoder": {"type": "aws_vpc", "format": FORMAT},
            "sinks": [
                {"id": "lines", "type": "file", "path": "lines/", "format": {"type": "jsonl"}}
            ],
            "rejects": {"type": "file", "path": "rejects/"},
            "state": {"path": "state/state.db"},
            "engine": settings,
        }
        self.config.write_text(json.dumps(pipeline))

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(self.config), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def run(self, *arguments):
        process = self.start("--receipt", str(self.folder / "receipt.json"), *arguments)
        self.output = process.communicate(timeout=300)[0].decode()
        return process.returncode

    @property
    def receipt(self):
        return json.loads((self.folder / "receipt.json").read_text())

    def rows(self):
        """Return the published rows' numbers (`bytes`), as a multiset."""
        return Counter(row["bytes"] for row in self._visible("lines"))

    def rejects(self):
        return list(self._visible("rejects"))

    def _visible(self, sink):
        for path in sorted((self.folder / sink).glob("*")):
            if path.name[0] != "." and path.is_file():
                yield from map(json.loads, path.read_text().splitlines())


def kill(process, secs):
    """Kill a run unless it ends before; return whether it was killed."""
    try:
        process.communicate(timeout=secs)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False
