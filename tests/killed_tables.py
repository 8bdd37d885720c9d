"""A pipeline from growing logs into a table of a database, killed amid its work."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys

from tests.integration.sites import HEADER, line


class KilledTable:
    """A folder with logs and a pipeline into a table, run by processes that are killed.

    Attributes:
        rows: how many rows the logs have.
        bytes: the sum of their column `bytes`.
    """

    def __init__(self, folder, sink, **environment):
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.rows = self.bytes = self._files = 0
        self._environment = {**os.environ, "NO_COLOR": "1", **environment}
        self.config = folder / "pipeline.yaml"
        pipeline = {
            "name": "site",
            "source": {"type": "file", "paths": [str(self.logs)], "tail_wait": 0},
            "decoder": {"type": "aws_vpc"},
            "sinks": [sink],
            "engine": {"workers": 2, "epoch_splits": 8, "task_size": 60000, "retry_wait": 0.01},
        }
        self.config.write_text(json.dumps(pipeline))

    def write_logs(self, count, rows=1000):
        for number in range(self._files, self._files + count):
            rng = random.Random(number)
            lines = [line(rng) for _ in range(rows)]
            self.rows += rows
            self.bytes += sum(int(text.split()[9]) for text in lines)
            temporary = self.logs / f".{number:05}.tmp"
            temporary.write_bytes(gzip.compress((HEADER + "".join(lines)).encode(), 1))
            temporary.rename(self.logs / f"{number:05}.log.gz")
        self._files += count

    def start(self):
        return subprocess.Popen(
            [sys.executable, "-m", "ktrans", "run", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        )

    def kill(self, times, files=40):
        """Run it until it has been killed so often; each run that ends finds more logs next time."""
        self.write_logs(files)
        rng, kills = random.Random(3), 0
        while kills < times:
            process = self.start()
            try:
                process.communicate(timeout=rng.uniform(0.4, 1.0))
                assert process.returncode == 0
                self.write_logs(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1

    def finish(self):
        """Run it to its end; return what it said."""
        process = self.start()
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()
        return said.decode()
