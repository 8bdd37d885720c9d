"""A file of which nothing can be read has one reject, however often runs look at it."""

import os

import pytest
import yaml

from ktrans.api import ExitCode
from ktrans.config.load import load_pipeline
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.registry.catalogue import Catalogue


class Folder:
    """A pipeline over one log whose last line has no end."""

    def __init__(self, folder, text):
        self.log = folder / "logs" / "a.log"
        self.log.parent.mkdir()
        self.log.write_text(text)
        self.path = folder / "p.yaml"
        config = {
            "name": "p",
            "source": {"type": "file", "paths": ["logs/"], "tail_wait": 900},
            "sinks": [{"type": "file", "path": "out/", "format": {"type": "jsonl"}}],
        }
        self.path.write_text(yaml.safe_dump(config))

    def run(self):
        catalogue = Catalogue()
        return run(load_pipeline(self.path, catalogue), catalogue, RunOptions())

    def rest(self):
        """Let the wait for the end of the last line be over."""
        os.utime(self.log, (1_700_000_000, 1_700_000_000))

    def lines(self, folder):
        return [
            line
            for path in (self.path.parent / folder).rglob("p.*")
            for line in path.read_text().splitlines()
        ]


@pytest.mark.parametrize("text", ["hello\nworld\ntorn", "hello\ntorn"])
def test_a_file_that_waits_for_the_end_of_its_last_line_is_rejected_once(tmp_path, text):
    folder = Folder(tmp_path, text)
    assert folder.run().exit_code == ExitCode.DATA
    for _ in range(3):
        waiting = folder.run()
        assert (waiting.exit_code, waiting.epochs) == (ExitCode.OK, 0)
        assert "tail_wait" in waiting.left[0]
    folder.rest()
    with_tail = folder.run()
    assert [one.code for one in with_tail.quarantined] == ["unknown_format"]
    assert with_tail.ledger.rejects == 0
    assert folder.run().epochs == 0
    assert len(folder.lines(".ktrans/rejects/p")) == 1
