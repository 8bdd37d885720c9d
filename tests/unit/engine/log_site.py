"""A pipeline from log files to two lakes, for tests of what happens between its runs."""

import json
from collections import Counter

import yaml

from ktrans.config.load import load_pipeline
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.registry.catalogue import Catalogue

FILES, LINES = 4, 6


class Site:
    """A folder with logs, a pipeline file and two lakes."""

    def __init__(self, folder):
        self.folder = folder
        self.write_logs("logs", 0)
        self.original = {
            "name": "p",
            "source": {"type": "file", "paths": "logs/", "tail_wait": 0},
            "decoder": {"type": "aws_vpc"},
            "sinks": [
                {
                    "type": "file",
                    "id": "lake",
                    "path": "lake/{action}/",
                    "format": {"type": "jsonl"},
                    "target_file_size": 1,
                },
                {"type": "file", "id": "lines", "path": "lines/", "format": {"type": "jsonl"}},
            ],
            "engine": {"workers": 1, "task_size": 1},
        }
        self.write(self.original)

    def write_logs(self, name, begin):
        (self.folder / name).mkdir(exist_ok=True)
        for number in range(FILES):
            lines = [
                f"2 111122223333 eni-{begin + number} 10.0.0.{line + 1} 10.0.1.1 443 40000 6 1 52 "
                f"1767225600 1767225660 {'ACCEPT' if line % 2 else 'REJECT'} OK\n"
                for line in range(LINES)
            ]
            (self.folder / name / f"{begin + number}.log").write_text("".join(lines))

    def write(self, config):
        self.path.write_text(yaml.safe_dump(config))

    @property
    def path(self):
        return self.folder / "p.yaml"

    def run(self, **options):
        catalogue = Catalogue()
        return run(load_pipeline(self.path, catalogue), catalogue, RunOptions(**options))

    def rows(self, sink):
        files = [
            path
            for path in (self.folder / sink).rglob("p.*")
            if ".ktrans-staging" not in path.parts
        ]
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        return Counter((row["interface_id"], row["src_addr"]) for row in rows)

    @staticmethod
    def all(begin=0):
        return Counter(
            (f"eni-{begin + n}", f"10.0.0.{i + 1}") for n in range(FILES) for i in range(LINES)
        )
